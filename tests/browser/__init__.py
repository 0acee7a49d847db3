"""Drive pages in headless Chromium, served as `mejiro serve` or any web server would."""
