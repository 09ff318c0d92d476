//! A build without TLS: there is no session, so none of its methods can be called.

use super::TlsError;
use std::{io, path::Path};

/// How a server is spoken to in TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {}

#[derive(Debug)]
pub(crate) enum Session {}

impl Tls {
    pub(crate) fn new(_host: &str, _ca_file: Option<&Path>) -> Result<Self, TlsError> {
        Err(TlsError::Setup("this program was built without it".into()))
    }
}

impl Session {
    pub(crate) fn new(tls: &Tls) -> io::Result<Self> {
        match *tls {}
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub(crate) fn is_over(&self) -> bool {
        match *self {}
    }

    pub(crate) fn encrypt(&mut self, _plain: &[&[u8]]) -> io::Result<()> {
        match *self {}
    }

    pub(crate) fn outgoing(&mut self) -> io::Result<&[u8]> {
        match *self {}
    }

    pub(crate) fn sent(&mut self, _bytes: usize) {
        match *self {}
    }

    pub(crate) fn feed(&mut self, _bytes: &[u8]) -> io::Result<&[u8]> {
        match *self {}
    }
}

pub(super) fn reason(_error: &io::Error) -> Option<String> {
    None
}
