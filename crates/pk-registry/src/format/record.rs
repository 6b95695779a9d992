//! One entry as it stands in the file, and the reservation that it means. Never judges whether that
//! still lives.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pk_core::{Host, Port, ProcessId};
use pk_fs::utc;
use serde::{Deserialize, Serialize};

use crate::reservation::{Kind, Lease, Reservation};

/// One entry. Field order is that of the file.
#[derive(Serialize, Deserialize)]
pub(super) struct Record<'t> {
    #[serde(borrow)]
    id: Cow<'t, str>,
    port: u16,
    #[serde(borrow)]
    host: Cow<'t, str>,
    #[serde(borrow)]
    proto: Cow<'t, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    owner: Option<Cow<'t, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'t, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    project: Option<Cow<'t, str>>,
    #[serde(default, skip_serializing_if = "has_none")]
    notes: Cow<'t, BTreeMap<String, String>>,
    uid: u32,
    fence: u64,
    #[serde(borrow)]
    created: Cow<'t, str>,
    kind: RecordKind,
    netns: u64,
    #[serde(default)]
    timens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_boot_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<RecordProcess>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<RecordProcess>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    control: Option<Cow<'t, str>>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RecordKind {
    Guarded,
    Held,
    Leased,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct RecordProcess {
    pid: u32,
    start: u64,
    pidns: u64,
}

fn has_none(notes: &BTreeMap<String, String>) -> bool {
    notes.is_empty()
}

impl<'t> Record<'t> {
    pub(super) fn of(reservation: &'t Reservation) -> Record<'t> {
        let process = |process: &ProcessId| RecordProcess {
            pid: process.pid,
            start: process.start,
            pidns: process.namespace,
        };
        Record {
            id: Cow::Borrowed(&reservation.id),
            port: reservation.port.number(),
            host: Cow::Owned(reservation.host.to_string()),
            proto: Cow::Borrowed(reservation.protocol.name()),
            owner: reservation.owner.as_deref().map(Cow::Borrowed),
            name: reservation.name.as_deref().map(Cow::Borrowed),
            project: reservation.project.as_deref().map(Cow::Borrowed),
            notes: Cow::Borrowed(&reservation.notes),
            uid: reservation.uid,
            fence: reservation.fence,
            created: Cow::Owned(utc::rfc3339(reservation.created)),
            kind: match reservation.kind {
                Kind::Guarded => RecordKind::Guarded,
                Kind::Held => RecordKind::Held,
                Kind::Leased => RecordKind::Leased,
            },
            netns: reservation.network,
            timens: reservation.time,
            expires_boot_ms: match reservation.lease {
                Lease::Never => None,
                Lease::Until(end) => Some(end),
            },
            process: reservation.process.as_ref().map(process),
            until: reservation.until.as_ref().map(process),
            // JSON has no words for a path that is not UTF-8.
            control: reservation
                .control
                .as_deref()
                .and_then(Path::to_str)
                .map(Cow::Borrowed),
        }
    }

    pub(super) fn into_reservation(self) -> Result<Reservation, String> {
        let process = |process: RecordProcess| ProcessId {
            pid: process.pid,
            start: process.start,
            namespace: process.pidns,
        };
        // It names a file in the liveness folder.
        if !(1..=64).contains(&self.id.len())
            || !self.id.bytes().all(|it| it.is_ascii_alphanumeric())
        {
            return Err("its id is none".into());
        }
        let host: Host = self.host.parse().map_err(|error| format!("{error}"))?;
        if host.to_string() != self.host {
            return Err(format!(
                "its host is not canonical: {}",
                self.host.escape_debug()
            ));
        }
        Ok(Reservation {
            id: self.id.into_owned(),
            port: Port::new(self.port).ok_or("its port is 0")?,
            host,
            protocol: self.proto.parse().map_err(|error| format!("{error}"))?,
            owner: self.owner.map(Cow::into_owned),
            name: self.name.map(Cow::into_owned),
            project: self.project.map(Cow::into_owned),
            notes: self.notes.into_owned(),
            uid: self.uid,
            fence: self.fence,
            created: utc::parse(&self.created).ok_or("its time of creation is none")?,
            kind: match self.kind {
                RecordKind::Guarded => Kind::Guarded,
                RecordKind::Held => Kind::Held,
                RecordKind::Leased => Kind::Leased,
            },
            network: self.netns,
            time: self.timens,
            lease: self.expires_boot_ms.map_or(Lease::Never, Lease::Until),
            process: self.process.map(process),
            until: self.until.map(process),
            control: self.control.map(|path| PathBuf::from(&*path)),
        })
    }
}
