"""Emulate a Raspberry Pi on a workstation: qemu-user, an arm64 Debian root, and an ssh server.

    boards.py     what tells a Pi 3, 4 and 5 apart: the CPU and what /proc and /sys say of it
    needs.py      what an emulation takes, and why it cannot be had here
    root.py       the root file system, from Debian's packages, made once and kept
    packages.py   Python packages for the device, made once and kept
    inside.py     what runs in the device's namespaces: mounts, then one command or ssh
    device.py     start, stop, reset and use a device
    fixtures.py   the pytest fixtures `pi` and `device_maker`
    __main__.py   the same by hand: python -m tests.emulation

It runs programs at the speed of an interpreter, has no systemd and no camera, and says nothing
about time. What programs compute and how many instructions that takes are as on the board.
"""
