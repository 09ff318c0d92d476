//! What is printed.

use crate::{
    Point,
    bare::Bare,
    measured::{Measured, Spread},
    open::{self, Lateness},
};

/// The project's own limits.
struct Limits {
    ttft_p99_ms: Option<f64>,
    cpu_us: Option<f64>,
    memory_mb: Option<f64>,
}

fn limits(point: &Point) -> Limits {
    let none = Limits {
        ttft_p99_ms: None,
        cpu_us: None,
        memory_mb: None,
    };
    match (point.users, point.rate) {
        (192, 50) => Limits {
            ttft_p99_ms: Some(0.2),
            cpu_us: Some(5.0),
            ..none
        },
        (1_000, 50) => Limits {
            ttft_p99_ms: Some(0.5),
            ..none
        },
        (4_000, 10) => Limits {
            ttft_p99_ms: Some(1.0),
            memory_mb: Some(300.0),
            ..none
        },
        _ => none,
    }
}

pub(crate) fn print_head(server_cpu: usize, client_cpu: usize, seconds: u64) {
    println!(
        "server on CPU {server_cpu}, client on CPU {client_cpu}; {seconds} s measured of each"
    );
    if server_cpu == client_cpu {
        println!("WARNING: one CPU for both, so they disturb each other: no figure here holds");
    }
    println!();
    line(
        "users × tokens/s",
        "",
        ["p50", "p99", "max"].map(str::to_owned),
        "target",
    );
}

pub(crate) fn print_point(point: &Point, measured: &Measured, bare: &Bare) {
    let limits = limits(point);
    let times = |name: &str, spread: Spread, target: Option<f64>| {
        let target = target.map_or_else(String::new, |ms| format!("p99 < {ms} ms"));
        let values = [spread.p50, spread.p99, spread.max];
        line("", name, values.map(|value| format!("{value:.3}")), &target);
    };
    let one = |name: &str, value: String, target: String| {
        line("", name, [value, String::new(), String::new()], &target);
    };
    println!("{} × {}", point.users, point.rate);
    times("TTFT, true, ms", measured.true_ttft, None);
    times("TTFT, reported, ms", measured.reported_ttft, None);
    times(
        "TTFT, reported − true, ms",
        measured.ttft_error,
        limits.ttft_p99_ms,
    );
    times("e2e, reported − true, ms", measured.e2e_error, None);
    times(
        "  of it: request's way to the server",
        measured.request_way,
        None,
    );
    times(
        "  of it: token's way to the client",
        measured.token_way,
        None,
    );
    times("left out: kernel to user space", measured.client_lag, None);
    let shared = measured.share_a_stamp.to_string();
    one("tokens with the next one's stamp", shared, String::new());
    let cpu = limits
        .cpu_us
        .map_or_else(String::new, |us| format!("<= {us} µs"));
    one(
        "CPU, µs a token",
        format!("{:.2}", measured.cpu_us_per_token),
        cpu,
    );
    one(
        "  of it: socket thread",
        format!("{:.2}", measured.socket_cpu_us_per_token),
        String::new(),
    );
    let ratio = measured.cpu_us_per_token / bare.cpu_us_per_token;
    let bare = format!("{:.2}", bare.cpu_us_per_token);
    one(
        "bare client's CPU, µs a token",
        bare,
        format!("(ratio {ratio:.2})"),
    );
    let memory = limits
        .memory_mb
        .map_or_else(String::new, |mb| format!("< {mb} MB"));
    one(
        "memory, MB",
        format!("{:.1}", measured.memory_bytes as f64 / 1e6),
        memory,
    );
    let failed = format!(
        "{} ({} measured, {} tokens)",
        measured.failed, measured.requests, measured.tokens
    );
    println!(
        "  {:<38}{failed}, clock {}",
        "failed requests", measured.clock
    );
    let server = &measured.server;
    println!(
        "  {:<38}{:.1} µs a token, latest {:.1} ms, {} slow sends (longest {:.1} ms), {} blocked",
        "server",
        server.cpu_us_per_token,
        server.latest_ms,
        server.slow_sends,
        server.longest_send_ms,
        server.blocked_sends,
    );
}

pub(crate) fn print_open(late: &Lateness) {
    println!("open loop, {} requests/s, Poisson", open::PER_S);
    let values = [late.queue.p50, late.queue.p99, late.queue.max];
    let name = format!("sent after its time, ms ({})", late.requests);
    line("", &name, values.map(|value| format!("{value:.3}")), "");
}

fn line(point: &str, name: &str, values: [String; 3], target: &str) {
    let [p50, p99, max] = values;
    println!("{point:<2}{name:<38}{p50:>9}{p99:>9}{max:>9}  {target}");
}

pub(crate) fn print_foot() {
    println!(
        "\n\
         True: from the request's arrival at the server's kernel to the moment before the token's send.\n\
         Reported: from the moment before the request's send to the arrival at the client's kernel.\n\
         So what remains is two ways through the loopback device, the request's and the token's: the\n\
         send's own time, and, where the machine is busy elsewhere, waiting within it. The time from\n\
         the client's kernel to user space is in no figure; it is each row's client_lag.\n\
         The bare client reads the same streams and does nothing with them."
    );
}
