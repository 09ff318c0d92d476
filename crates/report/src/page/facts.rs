//! The machine and the target, as the page lists them.

use crate::{figure::plain, table::ABSENT};
use record::{CalibrationFacts, DeviceUnderTest, MemoryBack, SessionManifest, TargetKind};

/// A named value.
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
}

impl Fact {
    pub(super) fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }

    fn maybe(name: &str, value: Option<impl ToString>) -> Self {
        let value = value.map_or_else(|| ABSENT.to_owned(), |value| value.to_string());
        Self::new(name, value)
    }
}

pub(super) fn of_session(session: &SessionManifest) -> Vec<Fact> {
    let (target, host) = (&session.target, &session.host);
    let kind = match target.kind {
        TargetKind::Embedded => "the embedded engine: its compute is modelled",
        TargetKind::Managed => "a server that the session started and stopped",
        TargetKind::Attached => "a server that was there before",
    };
    let gib = |bytes: u64| format!("{} GiB", plain(bytes as f64 / (1u64 << 30) as f64));
    vec![
        Fact::new("target", kind),
        Fact::new("URL", &target.url),
        Fact::new("model", &target.model),
        Fact::new("API", &target.api),
        Fact::maybe("server says", target.server.as_ref()),
        Fact::maybe(
            "server’s first start took",
            session
                .server_start_ms
                .map(|ms| format!("{} s", plain(ms / 1e3))),
        ),
        Fact::maybe(
            "server’s memory, once stopped",
            session.memory_back.as_ref().map(memory),
        ),
        Fact::new("host", &host.hostname),
        Fact::maybe("CPU", host.cpu.as_ref()),
        Fact::new("cores online", host.cores.to_string()),
        Fact::maybe("memory", host.mem_total_bytes.map(gib)),
        Fact::maybe("swap", host.swap_total_bytes.map(gib)),
        Fact::new("page size", format!("{} bytes", host.page_size_bytes)),
        Fact::maybe("system", host.os.as_ref()),
        Fact::new("kernel", format!("{} {}", host.kernel, host.arch)),
        Fact::new("device under test", device(&session.device)),
        Fact::maybe("its model", session.device.model.as_ref()),
        Fact::maybe("its file system", session.device.file_system.as_ref()),
        Fact::new("resolved from", session.device.path.display().to_string()),
        Fact::new(
            "instrument’s own error",
            own_error(session.calibration.as_ref()),
        ),
    ]
}

fn memory(memory: &MemoryBack) -> String {
    let seconds = plain(memory.waited_ms / 1e3);
    match memory.is_back {
        true => format!("back {seconds} s after its end"),
        false => format!(
            "not back {seconds} s after its end: {} GiB less available than before its start",
            plain(
                memory
                    .before_start_bytes
                    .saturating_sub(memory.after_stop_bytes) as f64
                    / (1u64 << 30) as f64
            )
        ),
    }
}

fn own_error(calibration: Option<&CalibrationFacts>) -> String {
    let Some(cited) = calibration else {
        return "not calibrated on this machine: run `spillpoint calibrate`".to_owned();
    };
    let made = &cited.made;
    match (
        cited.level_users,
        cited.ttft_error_p99_us,
        cited.e2e_error_p99_us,
    ) {
        (Some(users), Some(ttft), Some(e2e)) => format!(
            "at {users} users p99 {} µs of TTFT, {} µs of e2e (calibrated {made})",
            plain(ttft),
            plain(e2e)
        ),
        _ => format!("not known at this load (calibrated {made})"),
    }
}

fn device(device: &DeviceUnderTest) -> String {
    match (&device.name, &device.partition) {
        (Some(name), Some(partition)) => format!("{name}, partition {partition}"),
        (Some(name), None) => name.clone(),
        (None, Some(partition)) => format!("partition {partition}"),
        (None, None) => {
            let why = device
                .why_not
                .as_deref()
                .unwrap_or("no reason was recorded");
            format!("none, so there are no device figures: {why}")
        }
    }
}
