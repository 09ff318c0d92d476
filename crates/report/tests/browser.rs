//! The page in headless Chromium: it renders without errors, its figures answer to the pointer,
//! a stranger's text runs nothing, and it asks for nothing.
//!
//! Chromium is the one that SPILLPOINT_CHROMIUM names, or `chromium` on PATH; without one the test
//! passes unseen. It is spoken to by its DevTools protocol over two pipes, since the
//! page's own policy lets no script of a test in.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "report/scenario.rs"]
mod scenario;

use scenario::Scenario;
use serde_json::{Value, json};
use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Chromium, with one page.
struct Browser {
    child: Child,
    to: File,
    from: BufReader<File>,
    session: Option<String>,
    next: u64,
    /// What came that was no answer.
    events: Vec<Value>,
}

fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SPILLPOINT_CHROMIUM") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path).map(|folder| folder.join("chromium"));
    folders.find(|file| file.is_file())
}

impl Browser {
    /// Starts the browser; the pipes of its protocol are its descriptors 3 and 4.
    fn start(chromium: &Path, folder: &Path) -> Self {
        let pipes = ["to", "from"].map(|name| folder.join(name));
        assert!(
            Command::new("mkfifo")
                .args(&pipes)
                .status()
                .unwrap()
                .success()
        );
        let child = Command::new("sh")
            .arg("-c")
            .arg(r#"exec "$0" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --disable-background-networking --user-data-dir="$3" --window-size=1200,900 --remote-debugging-pipe 3<"$1" 4>"$2""#)
            .arg(chromium)
            .args(&pipes)
            .arg(folder.join("profile"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut browser = Self {
            child,
            to: OpenOptions::new().write(true).open(&pipes[0]).unwrap(),
            from: BufReader::new(File::open(&pipes[1]).unwrap()),
            session: None,
            next: 0,
            events: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Network", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.write_all(&bytes).unwrap();
        loop {
            let message = self.read();
            if message["id"] == json!(self.next) {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.events.push(message);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.from.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    fn open(&mut self, page: &Path) {
        self.call(
            "Page.navigate",
            json!({"url": format!("file://{}", page.display())}),
        );
        while !self
            .events
            .iter()
            .any(|it| it["method"] == "Page.loadEventFired")
        {
            let message = self.read();
            self.events.push(message);
        }
    }

    fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true});
        let answer = self.call("Runtime.evaluate", params);
        assert!(
            answer.get("exceptionDetails").is_none(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    fn point_at(&mut self, x: f64, y: f64) {
        let params = json!({"type": "mouseMoved", "x": x, "y": y});
        self.call("Input.dispatchMouseEvent", params);
    }

    fn events(&self, method: &str) -> Vec<&Value> {
        let events = self.events.iter().filter(|it| it["method"] == method);
        events.map(|it| &it["params"]).collect()
    }

    /// Writes what is seen where SPILLPOINT_LOOK_AT names a folder.
    fn show(&mut self, name: &str) {
        if let Ok(folder) = std::env::var("SPILLPOINT_LOOK_AT") {
            let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
            let data = shot["data"].as_str().unwrap();
            std::fs::write(Path::new(&folder).join(format!("{name}.png.base64")), data).unwrap();
        }
    }

    fn assert_quiet(&self) {
        let errors = self.events("Runtime.exceptionThrown");
        assert!(errors.is_empty(), "{errors:?}");
        let entries = self.events("Log.entryAdded");
        assert!(entries.is_empty(), "{entries:?}");
        assert!(self.events("Page.javascriptDialogOpening").is_empty());
        for request in self.events("Network.requestWillBeSent") {
            let url = request["request"]["url"].as_str().unwrap();
            assert!(
                url.starts_with("file://") && url.ends_with("report.html")
                    || url.starts_with("data:font/woff2"),
                "{url}"
            );
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Opens the page of a scenario; nothing without a browser.
fn opened(scenario: &Scenario, folder: &Path) -> Option<Browser> {
    let chromium = chromium()?;
    let analysis = report::analyze(&scenario.write(folder));
    let page = folder.join("report.html");
    std::fs::write(&page, &analysis.html).unwrap();
    let mut browser = Browser::start(&chromium, folder);
    browser.open(&page);
    Some(browser)
}

fn scenario() -> Scenario {
    Scenario {
        users: vec![1, 4, 16],
        measure_s: 20.0,
        cores: 4,
        stall_s: 0.6,
        pressure: Some(|_, _| 300.0),
        ..Scenario::default()
    }
}

/// The middle of an element, on the screen.
const MIDDLE: &str = "(selector => { const it = document.querySelector(selector); it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; })";

fn middle(browser: &mut Browser, selector: &str) -> (f64, f64) {
    let place = browser.evaluate(&format!("{MIDDLE}('{selector}')"));
    (place[0].as_f64().unwrap(), place[1].as_f64().unwrap())
}

#[test]
fn a_page_renders_answers_to_the_pointer_and_asks_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut browser) = opened(&scenario(), folder.path()) else {
        return;
    };
    let figures = browser.evaluate("document.querySelectorAll('figure svg').length");
    assert_eq!(
        browser.evaluate("Number(document.documentElement.dataset.ready)"),
        figures
    );
    browser.show("page-top");

    // A mark says its values.
    let (x, y) = middle(&mut browser, "#h2_latency_vs_users circle");
    browser.point_at(x, y);
    let said = browser.evaluate("tip.hidden ? '' : tip.textContent");
    assert!(said.as_str().unwrap().contains("users: "), "{said}");
    browser.show("page-mark");

    // Under the pointer a time axis says what each of its lines is there.
    let (x, y) = middle(&mut browser, "#session_overview svg");
    browser.point_at(x, y);
    let said = browser.evaluate("tip.textContent");
    let said = said.as_str().unwrap();
    assert!(said.contains("at ") && said.contains("PSI io: "), "{said}");
    let crossed = browser.evaluate(
        "[...document.querySelectorAll('.cross')].filter(it => it.style.display === '').length",
    );
    assert!(
        crossed.as_u64().unwrap() >= 3,
        "one time in all figures: {crossed}"
    );
    browser.show("page-time");

    // A button zooms, another takes it back.
    let seen = "document.querySelector('#h8_cpu svg').getAttribute('viewBox')";
    let whole = browser.evaluate(seen);
    browser.evaluate("document.querySelector('#h8_cpu .zoom button').click()");
    assert_ne!(browser.evaluate(seen), whole);
    browser.evaluate("document.querySelector('#h8_cpu .zoom button:last-child').click()");
    assert_eq!(browser.evaluate(seen), whole);
    let wide = browser.evaluate("document.documentElement.scrollWidth <= innerWidth");
    assert_eq!(wide, json!(true), "the page is no wider than the screen");
    let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.call("Emulation.setEmulatedMedia", dark);
    browser.evaluate("scrollTo(0, 0)");
    browser.show("page-dark");
    browser.assert_quiet();
}

#[test]
fn a_hostile_name_or_error_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = Scenario {
        model: "</style></script><script>window.ran = 1</script><img src=x onerror='window.ran = 2'><svg onload='window.ran = 3'>",
        error: "</title><script>window.ran = 4</script>",
        ..scenario()
    };
    let Some(mut browser) = opened(&scenario, folder.path()) else {
        return;
    };
    assert_eq!(browser.evaluate("window.ran === undefined"), json!(true));
    assert_eq!(browser.evaluate("document.scripts.length"), json!(1));
    assert_eq!(browser.evaluate("document.images.length"), json!(0));
    browser.assert_quiet();
}
