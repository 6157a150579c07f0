"""How tests call `pipeline preview`."""

from collections.abc import Callable

from tests.running import Ended

Preview = Callable[..., Ended]
TURN = "[{name: Rotate, limit: [-40, 40], p: 1.0}]"
