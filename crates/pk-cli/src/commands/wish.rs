//! From what a user wishes to a request.

use portkeeper::{PortKeeper, Request};

use crate::args::{KeyAs, PlaceInJson, Wish};
use crate::error::Error;

pub(super) fn request<'k>(wish: &Wish, keeper: &'k PortKeeper) -> Result<Request<'k>, Error> {
    let mut request = keeper
        .request()
        .count(wish.count)
        .protocol(wish.proto)
        .wait(wish.wait.unwrap_or_default())
        .write_options(wish.writing.options());
    for range in wish.ranges()? {
        request = request.range(range);
    }
    for KeyAs { key, value } in &wish.write_env {
        request = request.write_env_as(key, value.clone());
    }
    for PlaceInJson { path, pointer } in &wish.write_json {
        request = request.write_json(path, pointer);
    }
    if let Some(port) = wish.preferred {
        request = request.preferred(port);
    }
    if let Some(host) = wish.host {
        request = request.host(host);
    }
    for range in &wish.exclude {
        request = request.exclude(*range);
    }
    for note in &wish.note {
        request = request.note(note.clone());
    }
    if let Some(name) = &wish.name {
        request = request.name(name.clone());
    }
    if let Some(owner) = &wish.owner {
        request = request.owner(owner.clone());
    }
    if let Some(ttl) = wish.ttl {
        request = request.ttl(ttl);
    }
    if let Some(pid) = wish.pid {
        request = request.until(pid);
    }
    if let Some(path) = &wish.env_path {
        request = request.env_path(path);
    }
    if wish.strict {
        request = request.strict();
    }
    Ok(request)
}
