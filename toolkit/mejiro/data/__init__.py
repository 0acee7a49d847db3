"""Read labels and labelled folders, choose calibration pictures, find sample photographs."""
