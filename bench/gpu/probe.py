"""What there is: the device by its name, and the versions."""
import sys

import jax

device = jax.devices()[0]
print(device.device_kind)
print(f"jax {jax.__version__} on {device.platform}, Python {sys.version.split()[0]}", file=sys.stderr)
