"""The recipes of docs/emulator.md, as a reader follows them: recipes.py RECIPE EMULATOR CA [--show].

Each step is also left out, and what the reader then sees must lead back to that step by the page's own table. With --show,
prints what is seen.
"""

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PAGE = Path("docs/emulator.md").read_text("utf-8")
POLICY = Path("docs/policy.json").read_text("utf-8")
ADDRESS = "127.0.0.1:8095"
PATIENCE = 120

# What step 5 has installed: programs that come first in PATH, folders beside the program, and Go's packages.
INSTALLED = {name: os.environ.get(name, "") for name in ["RECIPE_PATH", "RECIPE_JARS", "RECIPE_MODULES", "GOPATH"]}


class Recipe:
    """What the page says in one section."""

    def __init__(self, title):
        section = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##)", PAGE, re.S | re.M).group(1)
        self.steps = {5: "", 6: "", 7: "", 8: ""}
        self.files, self.run, self.prints = {}, None, None
        step, before = 5, ""
        for part in re.split(r"(^```\w*\n.*?^```\n)", section, flags=re.S | re.M):
            if not part.startswith("```"):
                numbers = re.findall(r"^Step (\d)\.", part, re.M)
                step, before = (int(numbers[-1]) if numbers else step), part
                continue
            language, block = re.match(r"```(\w*)\n(.*)```\n", part, re.S).groups()
            saved = re.findall(r"[Ss]ave this as\s+`([^`]+)`", before)
            if saved:
                self.files[saved[-1]] = block
            elif language == "sh" and step < 8:
                self.steps[step] += block
            elif language == "sh" and self.run is None:
                self.run = block
            elif language == "text" and self.prints is None and re.search(r"prints?:\s*$", before):
                self.prints = block
            before = ""
        assert self.run and self.prints, f"{title}: the section has no command, or says nothing about its output"
        # A file that is run by itself.
        self.more = re.findall(r"run `(\S+ (\S+))`, which prints `(.*?)`", section)


def rows():
    """Returns the texts of the page's table with the steps that they lead to."""
    table = PAGE.partition("## If it doesn't work")[2].partition("\n## ")[0]
    found = re.findall(r"^\| (`.*?) \| steps? ([^|]*) \|", table, re.M)
    return [(re.findall(r"`(.*?)`", texts), {int(step) for step in re.findall(r"\d", steps)}) for texts, steps in found]


def steps_for(output):
    return next((steps for texts, steps in rows() if any(text in output for text in texts)), set())


def is_like(shown, actual):
    return re.fullmatch(".*".join(map(re.escape, shown.strip().split("…"))), actual.strip(), re.S) is not None


def nothing(folder, steps, files, installed):
    """Leaves nothing out."""


def follow(recipe, emulator, ca, change=nothing):
    """Follows the steps in a fresh folder, and returns what is printed. `change` leaves something out."""
    folder = Path(tempfile.mkdtemp(prefix="a folder "))
    steps, files, installed = dict(recipe.steps), dict(recipe.files), dict(INSTALLED)
    shutil.copy(ca, folder / "ca.pem")
    (folder / "home").mkdir()
    change(folder, steps, files, installed)
    for target, name in [("RECIPE_JARS", "jars"), ("RECIPE_MODULES", "node_modules")]:
        if installed[target]:
            (folder / name).symlink_to(installed[target])
    host, port = emulator.partition("://")[2], emulator.rpartition(":")[2]

    def here(text):
        """Returns a text of the page with the address of this emulator."""
        return text.replace(ADDRESS, host).replace('"127.0.0.1", 8095', f'"127.0.0.1", {port}').replace("port: 8095", f"port: {port}")

    for name, text in files.items():
        (folder / name).write_text(here(text), "utf-8")
    program = "\n".join([here(steps[6]), here(steps[7]), here(recipe.run)])
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("GOOGLE_", "GCE_", "CLOUDSDK_", "IAM_")) and "proxy" not in name.lower()
                   and name not in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE",
                                    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS", "NODE_OPTIONS")}
    environment.update(PATH=installed["RECIPE_PATH"] + ":" + os.environ["PATH"], GOPATH=installed["GOPATH"],
                       HOME=str(folder / "home"), PYTHONDONTWRITEBYTECODE="1",
                       GOCACHE=os.environ.get("GOCACHE", str(folder / "go-cache")))
    try:
        done = subprocess.run(["bash", "-c", program], cwd=folder, env=environment, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode("utf-8", "replace") + f"\nno end within {PATIENCE} s"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def without(step, text=""):
    """Leaves out a step: of step 7 the variable `text`, of step 8 the file `text`."""
    def change(folder, steps, files, installed):
        if step == 5:
            installed.update(dict.fromkeys(installed, ""))
        elif step == 7 and text == "loop":
            steps[7] = re.sub(r"^for .*?^done\n", "", steps[7], flags=re.S | re.M)
        elif step == 7:
            steps[7] = re.sub(rf"\b{text}=\S+ ?", "", steps[7]).replace("export \n", "\n")
        elif step == 8:
            files.pop(text)
        else:
            steps[step] = ""
    return change


def emulator_of(policy):
    """Starts another emulator, and returns it with its address. It ends with this process."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(policy))
        file.flush()
        command = [os.environ["IAMCREDS"], "emulator", "--listen", "127.0.0.1:0", "--policy", file.name, "--until-stdin-ends"]
        process = subprocess.Popen(command + ["--ca-out", file.name + ".ca"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        address = process.stdout.readline().decode().split()[-1]
        process.stdout.readline()
    return process, address, file.name + ".ca"


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def variants(title, recipe):
    """The steps of a recipe that can be left out, each with its number."""
    if any(INSTALLED.values()) and title != "Rust":
        yield "step 5", 5, without(5)
    if recipe.steps[6]:
        yield "step 6", 6, without(6)
    if "for api" in recipe.steps[7] and not is_google_reachable():
        yield "step 7, the overrides", 7, without(7, "loop")
    for variable in re.findall(r"\b([A-Z_]+)=", recipe.steps[7]):
        if variable not in WITHOUT_EFFECT:
            yield f"step 7, {variable}", 7, without(7, variable)
    for name in recipe.files.keys() - {file for _, file, _ in recipe.more}:
        yield f"step 8, {name}", 8, without(8, name)
        if name in LEADS_NOWHERE and not is_google_reachable():
            yield f"step 8, what {name} does", 8, lambda folder, steps, files, installed, name=name: files.update({name: LEADS_NOWHERE[name]})


# The files that lead Google's host names to the emulator, as if they did nothing.
LEADS_NOWHERE = {"lead_here.py": "", "lead-here.mjs": "", "lead_here.go": "package main\n"}


def is_google_reachable():
    """Returns whether a request that nothing leads to the emulator would arrive at Google. Then none is sent."""
    try:
        return bool(socket.getaddrinfo("oauth2.googleapis.com", 443))
    except OSError:
        return False


# Without a key file, the metadata server has the same account. The others are for users' logins, and for what is kept.
WITHOUT_EFFECT = ["GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_AUTH_TOKEN_HOST", "CLOUDSDK_CONFIG", "CLOUDSDK_CORE_PROJECT"]


def main():
    title, emulator, ca = sys.argv[1:4]
    show, recipe, failures = "--show" in sys.argv, Recipe(title), []
    output = follow(recipe, emulator, ca)
    runs = sum(1 for line in recipe.run.splitlines() if "env -u GOOGLE_APPLICATION_CREDENTIALS" in line) + 1
    if not is_like("\n".join([recipe.prints.strip()] * runs), output):
        print(f"{title}: the page shows\n{recipe.prints}\nbut it prints\n{output}")
        sys.exit(1)
    print(output.strip())
    for command, _, prints in recipe.more:
        recipe_of_it = copy.copy(recipe)
        recipe_of_it.run = command
        output = follow(recipe_of_it, emulator, ca)
        assert output.strip() == prints, f"{title}: {command} prints {output}"
        print(command, "prints", output.strip())

    # Without the grant of builder on deployer, and without any emulator.
    policy = json.loads(POLICY)
    policy["serviceAccounts"]["deployer@shop.iam.gserviceaccount.com"]["grants"] = []
    refusing, refusing_address, refusing_ca = emulator_of(policy)
    jobs = {("step 2, the grant", 2): (refusing_address, refusing_ca, nothing)}

    def with_key_of(issuer, address):
        """Takes the key file of an emulator as if it were that of another one."""
        def change(folder, steps, files, installed):
            url = f"{issuer}/emulator/fixtures/service_account/builder@shop.iam.gserviceaccount.com"
            key = urllib.request.urlopen(url).read().decode()
            (folder / "key.json").write_text(key.replace(issuer, address), "utf-8")
            steps[6] = ""
        return change
    gone = closed_port()
    jobs[("step 2, the emulator", 2)] = (gone, ca, with_key_of(emulator, gone))
    if recipe.steps[6]:
        jobs[("a new key file", 6)] = (emulator, ca, with_key_of(refusing_address, emulator))
    for name, step, change in variants(title, recipe):
        jobs[(name, step)] = (emulator, ca, change)
    with ThreadPoolExecutor(4) as pool:
        results = {key: pool.submit(follow, recipe, *job) for key, job in jobs.items()}
    for (name, step), result in results.items():
        seen = result.result()
        leads_to = steps_for(seen)
        if show:
            print(f"---- without {name}: leads to {leads_to}\n{seen[-1500:]}")
        if step not in leads_to:
            failures.append(f"{title} without {name}: the table leads to {leads_to}, not to {step}:\n{seen[-2500:]}")
    refusing.stdin.close()
    os.unlink(refusing_ca)
    print(f"{title}: {len(jobs) - len(failures)} of {len(jobs)} left-out steps lead back to themselves")
    if failures:
        print("\n".join(failures))
        sys.exit(1)


main()
