#!/bin/sh
# Make the environment that runs this bundle, from its own wheels: no network, nothing but Python.
#
#   sh install.sh [--env DIR] [--python PROGRAM] [--check]
#
# The last line printed is the environment's folder; without --env that is ../NAME-env beside the
# bundle, NAME being the bundle's folder. It is built beside its place and then moved there, so it
# is whole or absent, and what was there runs on until then. Run it again at any time: what is
# installed already stays. --check only says whether this machine can have it.
set -eu

target=@@{target}
system=@@{system}
python_version=@@{python}
others=@@{others} # what other Pythons need: "3.13=trixie ..."
machine=@@{machine}
glibc=@@{glibc}
needed_kb=@@{needed_kb}
pip_wheel=@@{pip_wheel}
system_packages=@@{system_packages} # "yes" lets the environment see what apt brought
provided=@@{provided} # what the system has to bring: "numpy=python3-numpy cv2=opencv-python=4.9 ..."
install=@@{install} upgrade=@@{upgrade} # how its packages are brought up
python_packages=@@{python_packages}
venv_package=@@{venv_package}

fail() {
    printf 'install.sh: error: %s\n' "$1" >&2
    exit 1
}

env='' python='' check=''
while [ $# -gt 0 ]; do
    case $1 in
    --env | --python)
        [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value; see the first lines of install.sh"
        if [ "$1" = --env ]; then env=$2; else python=$2; fi
        shift 2
        ;;
    --check) check=yes && shift ;;
    *) fail "unknown option '$1'; see the first lines of install.sh" ;;
    esac
done

# What the caller set for other Pythons must not reach this one.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PIP_CONFIG_FILE=/dev/null

bundle=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd) || fail "cannot enter the bundle's folder"
[ -f "$bundle/wheels/requirements.txt" ] && [ -f "$bundle/$pip_wheel" ] ||
    fail "$bundle lacks its wheels; copy the whole bundle again"
[ -n "$env" ] || env=$(dirname -- "$bundle")/$(basename -- "$bundle")-env

if [ -z "$python" ]; then
    python=python3
    # A version with ">=" in it is no program's name.
    ! command -v "python$python_version" >/dev/null 2>&1 || python=python$python_version
fi
command -v "$python" >/dev/null 2>&1 ||
    fail "$python is not here; run \`$install $python_packages\`"

# Everything that could stop the installation, before anything is written. Prints the environment's
# absolute path. Old Pythons read this too, hence the old ways of writing.
mark=$(cat -- "$bundle/wheels/requirements.txt" "$bundle/install.sh" | cksum)
env=$("$python" -I -W ignore - "$env" "$mark" "$target" "$system" "$python_version" "$others" "$machine" \
    "$glibc" "$needed_kb" "$provided" "$install" "$upgrade" "$venv_package" <<'PYTHON'
import importlib, importlib.util, os, platform, re, shutil, struct, sys

(env, mark, target, system, wanted, others, machine, glibc, needed_kb, provided, install, upgrade,
 venv_package) = sys.argv[1:]


def fail(text):
    sys.stderr.write("install.sh: error: %s\n" % text)
    sys.exit(1)


def numbers(version):
    return [int(part) for part in re.findall("[0-9]+", version)[:3]]


# A 32-bit system may run on a 64-bit kernel, and then has another kernel's name.
found, bits = platform.machine(), struct.calcsize("P") * 8
if bits == 32:
    found = {"aarch64": "armv7l", "armv8l": "armv7l", "x86_64": "i686"}.get(found, found)
if found != machine:
    fail("this bundle is for %s (%s), this system is %s; write it again with a --target of %s"
         % (target, machine, found, found))
here = "%d.%d" % sys.version_info[:2]
oldest = wanted[2:] if wanted.startswith(">=") else None
if oldest and numbers(here) < numbers(oldest):
    fail("this bundle is for Python %s or newer (%s), found %s; run `%s`"
         % (oldest, system, here, upgrade))
if not oldest and here != wanted:
    fits = dict(pair.split("=") for pair in others.split()).get(here)
    advice = ("write it again with --system %s" % fits if fits
              else "give one with --python, or write it again for another target")
    fail("this bundle is for Python %s (%s), found %s; %s" % (wanted, system, here, advice))
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION")
except (AttributeError, ValueError, OSError):
    libc = None
if glibc and not libc:
    fail("the wheels need glibc %s or newer, and this system has another C library" % glibc)
if glibc and numbers(libc) < numbers(glibc):
    fail("the wheels need glibc %s or newer, found %s; upgrade the system" % (glibc, libc.split()[1]))
brought = [(pair + "=").split("=")[:3] for pair in provided.split()]
missing = [one for one in brought if importlib.util.find_spec(one[0]) is None]
if missing:
    fail("%s %s not installed; run `%s %s`"
         % (", ".join(one[0] for one in missing), "is" if len(missing) == 1 else "are", install,
            " ".join(one[1] for one in missing)))
for module, package, lowest in (one for one in brought if one[2]):
    try:
        has = str(importlib.import_module(module).__version__)
    except Exception as error:
        fail("%s of %s does not work (%s); run `%s`"
             % (module, package, " ".join(str(error).split())[:200], upgrade))
    if numbers(has) < numbers(lowest):
        fail("%s is %s, this bundle needs %s or newer; run `%s`" % (package, has, lowest, upgrade))
if importlib.util.find_spec("venv") is None:
    fail("Python has no venv module; run `%s %s`" % (install, venv_package))
env = os.path.abspath(env)
# pip writes the path into the first lines of programs, which are read by sh and by Python.
if not set('\n\r"$`\\').isdisjoint(env):
    fail("the path %r holds a quote, dollar, backslash or line break, which its programs cannot "
         "bear; name another with --env" % env)
parent = os.path.dirname(env)
while not os.path.isdir(parent):
    if os.path.lexists(parent):
        fail("%s is not a folder; name another place with --env" % parent)
    parent = os.path.dirname(parent)
if not os.access(parent, os.W_OK):
    fail("%s cannot be written; name another place with --env" % parent)
try:
    with open(os.path.join(env, "mejiro-bundle")) as stream:
        present = stream.read().strip()
except (OSError, ValueError):
    present = None
    if os.path.lexists(env) and (not os.path.isdir(env) or os.listdir(env)):
        fail("%s was not made by install.sh; name another place with --env" % env)
free_kb = shutil.disk_usage(parent).free // 1024
if free_kb < int(needed_kb) and present != mark:
    fail("the environment needs %d MB, %s has %d MB free; make room or name another place with "
         "--env" % (int(needed_kb) // 1024, parent, free_kb // 1024))
os.write(1, os.fsencode(env) + b"\n")
PYTHON
) || exit 1
[ -z "$check" ] || { printf '%s\n' "$env" && exit 0; }

# One at a time: the lock is on the folder itself, and goes with this process. What is built lies
# in a folder of its own, so that one word leads from its paths to the final ones.
parent=$(dirname -- "$env")
name=$(basename -- "$env")
mkdir -p -- "$parent" 2>/dev/null || fail "$parent cannot be made; name another place with --env"
exec 9<"$parent"
"$python" -I - <<'PYTHON' || exit 1
import fcntl, sys, time

for attempt in range(3000):
    try:
        fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sys.exit(0)
    except BlockingIOError:
        time.sleep(0.2)
    except OSError:
        sys.exit(0)  # some network file systems have no locks
sys.stderr.write("install.sh: error: another installation beside it takes over ten minutes\n")
sys.exit(1)
PYTHON

stage=$parent/.mejiro-new
aside=$parent/.mejiro-old
# Killed between two moves: what ran before comes back.
[ -e "$env" ] || [ ! -d "$aside/$name" ] || mv -- "$aside/$name" "$env"
if [ "$(cat -- "$env/mejiro-bundle" 2>/dev/null)" = "$mark" ] &&
    "$env/bin/python" -I -c 'import mejiro_runtime, numpy' >/dev/null 2>&1; then
    rm -rf -- "$stage" "$aside"
    printf '%s\n' "$env"
    exit 0
fi

finish() {
    [ -e "$env" ] || [ ! -d "$aside/$name" ] || mv -- "$aside/$name" "$env"
    rm -rf -- "$stage" "$aside"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf -- "$stage" "$aside"
mkdir -- "$stage" 2>/dev/null || fail "$parent cannot be written; name another place with --env"
new=$stage/$name

# Run a command; where it fails, fail with its last words. They are kept in memory: the disk may be
# what is full.
try() {
    what=$1
    shift
    said=$("$@" 2>&1) && return
    words=$(printf '%s\n' "$said" | grep -i error | tail -n 1)
    [ -n "$words" ] || words=$(printf '%s\n' "$said" | tail -n 1)
    fail "$what: $(printf '%s' "$words" | cut -c 1-300)"
}

# Without pip in it, which Debian packs apart: the bundle brings its own, and it stays outside.
set -- -m venv --without-pip
[ "$system_packages" != yes ] || set -- "$@" --system-site-packages
try "the environment cannot be made" "$python" -I "$@" "$new"

# Packages that apt brought may satisfy a requirement today and be upgraded tomorrow, so they are
# passed over; being outside the environment, they are left alone.
try "the wheels cannot be installed" "$new/bin/python" -I "$bundle/$pip_wheel/pip" --isolated \
    --disable-pip-version-check --no-input --no-cache-dir install --quiet --no-index \
    --find-links "$bundle/wheels" --ignore-installed --no-deps --require-hashes \
    -r "$bundle/wheels/requirements.txt"
try "the installed packages do not work" "$new/bin/python" -I -c 'import mejiro_runtime, numpy'

# Move it to its place, with the paths that its programs hold.
try "the environment cannot be put in place" "$python" -I - "$new" "$env" "$aside" "$mark" <<'PYTHON'
import os, sys

new, env, aside, mark = sys.argv[1:]
with open(os.path.join(new, "mejiro-bundle"), "w") as stream:
    stream.write(mark + "\n")
programs = os.path.join(new, "bin")
files = [os.path.join(programs, name) for name in os.listdir(programs)]
for path in [*files, os.path.join(new, "pyvenv.cfg")]:
    if os.path.islink(path) or not os.path.isfile(path):
        continue
    with open(path, "rb") as stream:
        data = stream.read()
    if data[:4] != b"\x7fELF" and b"/.mejiro-new/" in data:
        with open(path, "wb") as stream:
            stream.write(data.replace(b"/.mejiro-new/", b"/"))
os.sync()
if os.path.isdir(env) and os.listdir(env):
    os.mkdir(aside)
    os.rename(env, os.path.join(aside, os.path.basename(env)))
os.rename(new, env)
PYTHON
printf '%s\n' "$env"
