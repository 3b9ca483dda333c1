"""An emulator of Google's IAM Service Account Credentials API, for tests.

>>> import iamcreds
>>> with iamcreds.Emulator() as emulator:
...     path = emulator.key_file("builder@shop.iam.gserviceaccount.com")
"""

from iamcreds.emulator import Emulator, EmulatorError
from iamcreds.program import find_program

__all__ = ["Emulator", "EmulatorError", "find_program"]
