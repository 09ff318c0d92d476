//! A client that sends requests and reads the answers, and does nothing with them: no timestamps, no
//! events, no rows. What it costs is the socket's and the runtime's.

use crate::{Point, own_usage, truth::Truth};
use anyhow::{Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime, task,
    time::sleep,
};

/// What it took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bare {
    pub(crate) cpu_us_per_token: f64,
}

pub(crate) fn measure(point: Point) -> Result<Bare> {
    let truth = Truth::start(&point)?;
    raise_file_limit()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let tokens = task::LocalSet::new().block_on(&runtime, all_users(point, truth.address))?;
    let (cpu, _) = own_usage()?;
    Ok(Bare {
        cpu_us_per_token: cpu.as_secs_f64() * 1e6 / tokens as f64,
    })
}

async fn all_users(point: Point, address: SocketAddr) -> Result<u64> {
    let end = Instant::now() + Point::RAMP + Point::WARMUP + point.measure();
    let body = format!(
        "{{\"model\":\"truth\",\"prompt\":\"a\",\"max_tokens\":{},\"stream\":true}}",
        point.tokens()
    );
    let request: Rc<[u8]> = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
    .into();
    let mut users = task::JoinSet::new();
    for user in 0..point.users {
        let joins = Point::RAMP.mul_f64(f64::from(user) / f64::from(point.users));
        users.spawn_local(one_user(joins, address, Rc::clone(&request), end));
    }
    let mut answers = 0;
    while let Some(user) = users.join_next().await {
        answers += user??;
    }
    Ok(answers * u64::from(point.tokens()))
}

/// How many answers this user got.
async fn one_user(
    joins: Duration,
    address: SocketAddr,
    request: Rc<[u8]>,
    end: Instant,
) -> Result<u64> {
    sleep(joins).await;
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 8 << 10];
    let mut answers = 0;
    while Instant::now() < end {
        stream.write_all(&request).await?;
        loop {
            let count = stream.read(&mut buffer).await?;
            ensure!(count > 0, "the truth server closed a connection");
            // The last chunk of an answer.
            if buffer[..count].ends_with(b"0\r\n\r\n") {
                break;
            }
        }
        answers += 1;
    }
    Ok(answers)
}

fn raise_file_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}
