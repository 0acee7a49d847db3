"""Stand in for a phone with Termux: its folders, its programs, its ssh server; nothing else.

    root.py      the file system: one folder of programs, a home, and no /bin, /usr, /etc or /tmp
    inside.py    what runs in the phone's namespaces: mounts, then the ssh server as the app's user
    phone.py     start, stop, and use a phone
    programs/    programs that Termux has and Debian has not
    conftest.py  the pytest fixtures `phone` and `bundles`

Python, its packages and the C library are this machine's, so the processor is not a phone's and the
library is not Android's. What is true to Termux is where things lie, who runs them, what is absent,
runit, and OpenSSH.
"""
