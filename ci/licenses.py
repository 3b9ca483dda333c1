"""Checks licenses, banned crates and sources of all dependencies against deny.toml, for all platforms.

Usage: cargo metadata … | python3 licenses.py deny.toml
"""

import json
import re
import sys
import tomllib

CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"


def is_allowed(expression, allowed):
    """Returns whether an SPDX expression can be met with allowed licenses alone."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def either():
        nonlocal position
        result = both()
        while position < len(tokens) and tokens[position] == "OR":
            position += 1
            result = both() or result
        return result

    def both():
        nonlocal position
        result = one()
        while position < len(tokens) and tokens[position] == "AND":
            position += 1
            result = one() and result
        return result

    def one():
        nonlocal position
        token = tokens[position]
        position += 1
        if token == "(":
            result = either()
            position += 1
            return result
        if position < len(tokens) and tokens[position] == "WITH":
            token = f"{token} WITH {tokens[position + 1]}"
            position += 2
        return token in allowed

    return either() and position == len(tokens)


def problems(metadata, rules):
    allowed = set(rules["licenses"]["allow"])
    banned = {rule["crate"]: rule for rule in rules["bans"]["deny"]}
    members = set(metadata["workspace_members"])
    packages = {package["id"]: package for package in metadata["packages"]}
    for package in packages.values():
        name = f"{package['name']} {package['version']}"
        if package["id"] not in members and package["source"] != CRATES_IO:
            yield f"{name}: comes from {package['source']}"
        if not is_allowed(package["license"] or "none", allowed):
            yield f"{name}: its license is {package['license']}"
    for node in metadata["resolve"]["nodes"]:
        user = packages[node["id"]]
        for dependency in node["deps"]:
            used = packages[dependency["pkg"]]
            rule = banned.get(used["name"])
            if rule and user["name"] not in rule.get("wrappers", []):
                yield f"{used['name']}, which {user['name']} uses: {rule['reason']}"
        for dependency in user["dependencies"] if node["id"] in members else []:
            if dependency["req"] == "*" and not dependency.get("path"):
                yield f"{user['name']}: any version of {dependency['name']} is accepted"


def check_itself():
    allowed = {"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"}
    for expression, expected in [
        ("MIT", True),
        ("MIT/Apache-2.0", True),
        ("GPL-3.0", False),
        ("GPL-3.0 OR MIT", True),
        ("MIT AND GPL-3.0", False),
        ("(MIT OR GPL-3.0) AND Apache-2.0", True),
        ("(GPL-3.0 OR ISC) AND MIT", False),
        ("Apache-2.0 WITH LLVM-exception OR GPL-3.0", True),
        ("Apache-2.0 WITH other", False),
        ("none", False),
    ]:
        assert is_allowed(expression, allowed) == expected, expression


def main():
    check_itself()
    with open(sys.argv[1], "rb") as file:
        rules = tomllib.load(file)
    metadata = json.load(sys.stdin)
    found = sorted(set(problems(metadata, rules)))
    print("\n".join(found) or f"licenses, bans and sources of {len(metadata['packages'])} crates are as they should be")
    sys.exit(1 if found else 0)


main()
