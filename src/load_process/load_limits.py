"""The limits of a loader on this machine: from the setting, its container or the machine."""

from load_process.limits import LoadLimits
from tickhouse_core.memory_limit import machine_memory, memory_limit
from tickhouse_core.settings import LoaderSettings, read

_MEGA = 1024**2
_MOST_OF_A_MACHINE = 4 * 1024**3
"""Others live on a machine that no container divides."""


def limits_here() -> LoadLimits:
    """Raises UsageError for a setting that does not fit."""
    chosen = read(LoaderSettings).memory_mb
    if chosen is not None:
        return LoadLimits.within(chosen * _MEGA)
    return LoadLimits.within(memory_limit() or min(machine_memory() // 2, _MOST_OF_A_MACHINE))
