"""The client libraries, installed once under build/clients-cache at the pinned versions, safe to call in parallel."""
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
PINS = {
    "discordjs": ("package.json", "package-lock.json"),
    "eris": ("package.json", "package-lock.json"),
    "discordpy": ("requirements.txt",),
    "wires": ("package.json", "package-lock.json"),
    "wires_py": ("requirements.txt",),
    "workers": ("package.json", "package-lock.json"),
    "workers_py": ("requirements.txt",),
}
VENVS = ("discordpy", "wires_py", "workers_py")
NATIVE = ("wires",)  # erlpack and zlib-sync are compiled when they are installed


def _digest(library):
    digest = hashlib.sha256(f"python {sys.version_info[:2]}".encode() if library in VENVS else b"")
    for name in PINS[library]:
        with open(os.path.join(HERE, library, name), "rb") as pin:
            digest.update(pin.read())
    return digest.hexdigest()[:12]


def _quietly(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")


def _npm(library, folder):
    for name in PINS[library]:
        shutil.copy(os.path.join(HERE, library, name), folder)
    quiet = ["--omit=optional", "--no-audit", "--no-fund"] + ([] if library in NATIVE else ["--ignore-scripts"])
    _quietly(["npm", "ci", *quiet], cwd=folder, env={**os.environ, **_headers()})


def _headers():
    """Node's headers where the system has them beside it; else node-gyp looks for them by itself."""
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(shutil.which("node"))))
    there = os.path.exists(os.path.join(prefix, "include", "node", "node.h"))
    return {"npm_config_nodedir": prefix} if there else {}


def _venv(library, folder):
    _quietly([sys.executable, "-m", "venv", os.path.join(folder, "venv")])
    requirements = os.path.join(HERE, library, "requirements.txt")
    pip = [os.path.join(folder, "venv", "bin", "python"), "-m", "pip", "install", "--quiet"]
    _quietly([*pip, "--disable-pip-version-check", "--only-binary", ":all:", "-r", requirements])


def install(library, cache):
    """The folder in which `library` is installed; installs it if it is not there yet."""
    os.makedirs(cache, exist_ok=True)
    final = os.path.join(cache, f"{library}-{_digest(library)}")
    with open(os.path.join(cache, f"{library}.lock"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(final, "done")):
            shutil.rmtree(final, ignore_errors=True)
            os.makedirs(final)  # not moved afterwards: a venv keeps its own path
            (_venv if library in VENVS else _npm)(library, final)
            open(os.path.join(final, "done"), "w", encoding="utf-8").close()
    return final


if __name__ == "__main__":
    for one in sys.argv[2:] or PINS:
        print(one, install(one, sys.argv[1]))
