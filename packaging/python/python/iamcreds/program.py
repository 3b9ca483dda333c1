"""Finds the program that the wheel contains."""

import os
import shutil
import sysconfig


def find_program() -> str:
    """Returns the path of the program ``iamcreds``.

    It is the one that was installed with this package, or else the one that the variable ``PATH`` leads to.

    :raises FileNotFoundError: if there is none. The error says how to install it.
    """
    name = "iamcreds" + (sysconfig.get_config_var("EXE") or "")
    folders = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    installed = (os.path.join(folder, name) for folder in folders)
    found = next((path for path in installed if os.path.isfile(path)), None) or shutil.which("iamcreds")
    if found is None:
        raise FileNotFoundError(missing("isn't installed"))
    return found


def missing(problem: str) -> str:
    """Returns what to do if the program can't be used."""
    return (
        f"the program iamcreds {problem} (this is {sysconfig.get_platform()})\n"
        "fix: install a wheel, with `pip install --only-binary=:all: iamcreds`. There are wheels for Linux and macOS "
        "on x86_64 and arm64, and for Windows on x86_64. Elsewhere, install a Rust toolchain and run "
        "`cargo install gcp-iam-credentials --features cli`"
    )
