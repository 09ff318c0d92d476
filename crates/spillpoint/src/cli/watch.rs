//! What `watch` takes, and how progress is shown.

use clap::ValueEnum;
use plan::{Span, Tick};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    /// The distance of two ticks: 10ms to 1s.
    #[arg(long, value_name = "SPAN", default_value = "100ms")]
    pub(crate) interval: Tick,
    /// A folder for telemetry.csv and cpu.csv [default: the screen alone].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// A path on the device to watch.
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) storage: PathBuf,
    /// Ends after this time [default: at Ctrl-C].
    #[arg(long, value_name = "SPAN")]
    pub(crate) duration: Option<Span>,
    /// How it is shown.
    #[arg(long, value_enum, value_name = "HOW", default_value = "auto")]
    pub(crate) progress: ProgressView,
    /// Serve what is sampled as OpenMetrics, at /metrics: a port on loopback, or an address in full
    /// [default: off; without a value 127.0.0.1:9464].
    #[arg(long, value_name = "PORT|IP:PORT", num_args = 0..=1, default_missing_value = "9464")]
    pub(crate) serve: Option<ServeAddress>,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServeAddress(pub(crate) SocketAddr);

/// A port alone is loopback's: who wants to be seen from elsewhere names the address in full.
impl FromStr for ServeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse() {
            return Ok(Self((Ipv4Addr::LOCALHOST, port).into()));
        }
        text.parse().map(Self).map_err(|_| {
            format!(
                "{text:?} is no address: write a port (9464 is 127.0.0.1:9464), or an address in \
                 full (0.0.0.0:9464, [::1]:9464)"
            )
        })
    }
}

/// How what goes on is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressView {
    /// A dashboard on a terminal, lines elsewhere.
    Auto,
    /// A dashboard, or an error where there is no terminal for it.
    Dashboard,
    /// Lines.
    Plain,
    /// Nothing but warnings.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_loopback_unless_it_is_named_in_full() {
        let address = |text: &str| {
            text.parse::<ServeAddress>()
                .map(|found| found.0.to_string())
        };
        assert_eq!(address("9464").unwrap(), "127.0.0.1:9464");
        assert_eq!(address("0.0.0.0:80").unwrap(), "0.0.0.0:80");
        assert_eq!(address("[::1]:9464").unwrap(), "[::1]:9464");
        for bad in ["", ":9464", "0.0.0.0", "host:9464", "70000"] {
            assert!(address(bad).unwrap_err().contains("in full"), "{bad}");
        }
    }
}
