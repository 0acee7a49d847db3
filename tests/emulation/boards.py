"""Know the boards: which CPU QEMU has to be, and what the board's Linux says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CORES = 4
# `uname -r` of Raspberry Pi OS bookworm.
KERNEL = "6.12.34+rpt-rpi-v8"
# Where the text for /proc/cpuinfo lies in the device's root, to be bound over the real one.
CPUINFO = "etc/board/cpuinfo"
CELSIUS = 48.312


@dataclass(frozen=True)
class Board:
    """Describe one board. `part` is Arm's number of the core, `max_khz` its highest clock."""

    name: str
    model: str
    cpu: str
    features: str
    variant: str
    part: str
    revision: int
    max_khz: int

    def cpuinfo(self) -> str:
        """Return what /proc/cpuinfo says: engines read from it which kernels they may use."""
        core = (
            "BogoMIPS\t: 108.00\n"
            f"Features\t: {self.features}\n"
            "CPU implementer\t: 0x41\n"
            "CPU architecture: 8\n"
            f"CPU variant\t: {self.variant}\n"
            f"CPU part\t: {self.part}\n"
            f"CPU revision\t: {self.revision}\n\n"
        )
        cores = "".join(f"processor\t: {number}\n{core}" for number in range(CORES))
        return f"{cores}Model\t\t: {self.model}\n"

    def files(self) -> dict[str, str]:
        """Return what the board adds to the root, as path -> text."""
        every = f"0-{CORES - 1}\n"
        found = {
            CPUINFO: self.cpuinfo(),
            "sys/firmware/devicetree/base/model": self.model + "\0",
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
            "sys/class/thermal/thermal_zone0/temp": f"{CELSIUS * 1000:.0f}\n",
            "sys/devices/system/cpu/kernel_max": "255\n",
        }
        for name in ("possible", "present", "online"):
            found[f"sys/devices/system/cpu/{name}"] = every
        for number in range(CORES):
            core = {
                "cpufreq/cpuinfo_max_freq": f"{self.max_khz}\n",
                "cpufreq/cpuinfo_min_freq": "600000\n",
                "cpufreq/scaling_cur_freq": f"{self.max_khz}\n",
                "cpufreq/scaling_governor": "ondemand\n",
                "topology/physical_package_id": "0\n",
                "topology/core_id": f"{number}\n",
                "topology/core_siblings_list": every,
                "topology/cluster_cpus_list": every,
                "topology/package_cpus_list": every,
            }
            folder = f"sys/devices/system/cpu/cpu{number}"
            found.update({f"{folder}/{name}": text for name, text in core.items()})
        return found

    def write(self, root: Path) -> None:
        """Write `files` into the root of a device."""
        for name, text in self.files().items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


_ARMV8_0 = "fp asimd evtstrm crc32 cpuid"
_ARMV8_2 = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp"
)

BOARDS = {
    board.name: board
    for board in (
        Board(
            "pi3",
            "Raspberry Pi 3 Model B Plus Rev 1.3",
            "cortex-a53",
            _ARMV8_0,
            variant="0x0",
            part="0xd03",
            revision=4,
            max_khz=1_400_000,
        ),
        Board(
            "pi4",
            "Raspberry Pi 4 Model B Rev 1.5",
            "cortex-a72",
            _ARMV8_0,
            variant="0x0",
            part="0xd08",
            revision=3,
            max_khz=1_800_000,
        ),
        Board(
            "pi5",
            "Raspberry Pi 5 Model B Rev 1.0",
            "cortex-a76",
            _ARMV8_2,
            variant="0x4",
            part="0xd0b",
            revision=1,
            max_khz=2_400_000,
        ),
    )
}
