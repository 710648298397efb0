"""A headless Chromium, driven through WebDriver with nothing but the standard library."""

import atexit
import base64
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own name for a reference
KEYS = {"Escape": "\ue00c", "Enter": "\ue007", "Tab": "\ue004", "Control": "\ue009",
        "ArrowLeft": "\ue012", "ArrowUp": "\ue013", "ArrowRight": "\ue014", "ArrowDown": "\ue015"}


def missing_program():
    """What a browser test needs and this machine lacks; None when all is there."""
    for name in ("chromium", "chromedriver"):
        if shutil.which(name) is None:
            return f"{name} is not installed"
    return None


def end_with_parent():
    """In the child: whatever ends this test, also a time limit, ends the driver too."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


class Browser:
    """One browser with a profile of its own; `with` ends it and its driver."""

    def __init__(self, dark=False, script=True, width=1200, height=900):
        self.folder = tempfile.mkdtemp(prefix="whyslow-chromium-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        self.driver = subprocess.Popen(
            ["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "HOME": self.folder},
            preexec_fn=end_with_parent)
        self.session = None
        atexit.register(self.close)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu",
                     "--disable-background-networking", "--disable-component-update",
                     "--disable-sync", "--no-first-run", "--hide-scrollbars",
                     "--disable-dev-shm-usage",
                     "--remote-debugging-pipe",  # the browser ends when the driver does
                     f"--user-data-dir={self.folder}/profile",
                     f"--window-size={width},{height}"]
        if dark:
            arguments += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
        options = {"args": arguments}
        if not script:
            options["prefs"] = {"profile.managed_default_content_settings.javascript": 2}
        self._wait_for_driver()
        answer = self._post("/session", {"capabilities": {"alwaysMatch": {
            "browserName": "chrome", "goog:chromeOptions": options,
            "unhandledPromptBehavior": "ignore"}}})
        self.session = f"/session/{answer['sessionId']}"
        if dark:
            self._devtools("Emulation.setEmulatedMedia",
                           {"features": [{"name": "prefers-color-scheme", "value": "dark"}]})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        atexit.unregister(self.close)
        session, self.session = self.session, None
        try:
            if session:
                self._request("DELETE", session)
        finally:
            self.driver.terminate()
            try:
                self.driver.wait(10)
            except subprocess.TimeoutExpired:
                self.driver.kill()
                self.driver.wait()
            shutil.rmtree(self.folder, ignore_errors=True)

    def open(self, path):
        self._post(self.session + "/url", {"url": "file://" + os.path.abspath(path)})

    def run(self, script, *arguments):
        """The value of a function body in the page."""
        return self._post(self.session + "/execute/sync",
                          {"script": script, "args": list(arguments)})

    def resize(self, width, height=900):
        self._devtools("Emulation.setDeviceMetricsOverride",
                       {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        # The page hears of it before it draws its next picture.
        self._post(self.session + "/execute/async", {"args": [width], "script": """
            const [width, done] = arguments;
            const look = () => innerWidth === width ? requestAnimationFrame(() => done(true))
                                                    : requestAnimationFrame(look);
            look();"""})

    def find(self, selector):
        return self._post(self.session + "/element",
                          {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        """With the mouse, where the element is: what is in front of it gets the click."""
        self._actions([{"type": "pointer", "id": "mouse", "actions": [
            self._move_to(selector), {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0}]}])

    def hover(self, selector):
        self._actions([{"type": "pointer", "id": "mouse", "actions": [self._move_to(selector)]}])

    def press(self, *keys):
        """Keys one after the other; ("Control", "f") in one tuple are pressed together."""
        actions = []
        for key in keys:
            chord = [KEYS.get(k, k) for k in (key if isinstance(key, tuple) else (key,))]
            actions += [{"type": "keyDown", "value": k} for k in chord]
            actions += [{"type": "keyUp", "value": k} for k in reversed(chord)]
        self._actions([{"type": "key", "id": "keyboard", "actions": actions}])

    def screenshot(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self._get(self.session + "/screenshot")))

    def alert_is_open(self):
        try:
            self._get(self.session + "/alert/text")
        except RuntimeError:
            return False
        return True

    def _move_to(self, selector):
        return {"type": "pointerMove", "duration": 0, "x": 0, "y": 0,
                "origin": {ELEMENT: self.find(selector)}}

    def _actions(self, actions):
        self._post(self.session + "/actions", {"actions": actions})

    def _devtools(self, command, parameters):
        self._post(self.session + "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _wait_for_driver(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self._get("/status")["ready"]:
                    return
            except (OSError, RuntimeError):
                time.sleep(0.05)
        raise RuntimeError("chromedriver does not answer")

    def _get(self, path):
        return self._request("GET", path)

    def _post(self, path, body):
        return self._request("POST", path, body)

    def _request(self, method, path, body=None):
        request = urllib.request.Request(
            self.base + path, method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            # Straight to this machine, whatever proxy the environment names.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()[:600]}") from error
