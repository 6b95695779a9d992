//! An entry of the registry, to be looked at. Never changes it.

use std::time::SystemTime;

use portkeeper::{Ended, Here, Listed, Record, Verdict};
use pyo3::prelude::*;

/// What a registry says about one port, at the moment of ``status()`` or ``gc()``.
#[pyclass(module = "portkeeper", frozen, get_all)]
#[derive(Debug)]
pub(crate) struct Entry {
    /// The port; None where the entry is too damaged to tell.
    port: Option<u16>,
    /// The host that it is reserved for; None where the entry is damaged.
    host: Option<String>,
    /// ``"tcp"``, ``"udp"`` or ``"both"``; None where the entry is damaged.
    proto: Option<&'static str>,
    /// ``"held"``, ``"leased"``, ``"guarded"``, ``"stale"``, ``"damaged"`` or ``"elsewhere"``.
    state: &'static str,
    /// The label that its maker gave.
    owner: Option<String>,
    /// What its project calls it.
    name: Option<String>,
    /// Its id; the entry's key where it is damaged.
    id: String,
    /// The process that guards or holds it, or that it ends with.
    pid: Option<u32>,
    /// The user that made it.
    uid: Option<u32>,
    /// A number that grows with every grant.
    fence: Option<u64>,
    /// When it was made (UTC).
    created: Option<SystemTime>,
    /// When it ends by itself (UTC); None where it does not.
    expires: Option<SystemTime>,
    /// Why it has ended, or what is wrong with it.
    reason: Option<String>,
}

#[pymethods]
impl Entry {
    fn __repr__(&self) -> String {
        let host = self.host.as_deref().unwrap_or("?");
        let port = self.port.map_or("?".into(), |port| port.to_string());
        format!("<Entry {host}:{port} {}>", self.state)
    }
}

impl Entry {
    pub(crate) fn listed(listed: Listed, here: &Here) -> Entry {
        match listed {
            Listed::Sound {
                reservation,
                verdict,
            } => {
                let reason = match &verdict {
                    Verdict::Stale(reason) => Some(reason.to_string()),
                    _ => None,
                };
                let state = pk_cli::state(reservation.kind, verdict);
                Entry::of(reservation, state, reason, here)
            }
            Listed::Damaged { key, port, reason } => Entry {
                port: port.map(Into::into),
                host: None,
                proto: None,
                state: "damaged",
                owner: None,
                name: None,
                id: key,
                pid: None,
                uid: None,
                fence: None,
                created: None,
                expires: None,
                reason: Some(reason),
            },
        }
    }

    pub(crate) fn ended(ended: Ended, here: &Here) -> Entry {
        let reason = Some(ended.reason.to_string());
        Entry::of(ended.reservation, "stale", reason, here)
    }

    fn of(record: Record, state: &'static str, reason: Option<String>, here: &Here) -> Entry {
        let process = record.process.or(record.until);
        Entry {
            port: Some(record.port.number()),
            host: Some(record.host.to_string()),
            proto: Some(record.protocol.name()),
            state,
            owner: record.owner,
            name: record.name,
            id: record.id,
            pid: process.map(|process| process.pid),
            uid: Some(record.uid),
            fence: Some(record.fence),
            created: Some(record.created),
            expires: here.end_of(record.lease),
            reason,
        }
    }
}
