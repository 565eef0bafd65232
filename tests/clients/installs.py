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
}


def _digest(library):
    digest = hashlib.sha256(f"python {sys.version_info[:2]}".encode() if library == "discordpy" else b"")
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
    quiet = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"]
    _quietly(["npm", "ci", *quiet], cwd=folder)


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
            (_venv if library == "discordpy" else _npm)(library, final)
            open(os.path.join(final, "done"), "w", encoding="utf-8").close()
    return final


if __name__ == "__main__":
    for one in sys.argv[2:] or PINS:
        print(one, install(one, sys.argv[1]))
