//! A value with a port in it: `http://{host}:{port}`. Never more than one printable line.

use std::str::FromStr;

use pk_core::{Host, Port};
use pk_registry::reservation::is_unprintable;

/// A value with places for a port and a host.
///
/// ```
/// use portkeeper::Template;
/// let url: Template = "http://{host}:{port}/api".parse()?;
/// assert_eq!(url.fill("::1".parse()?, 8080.try_into()?), "http://[::1]:8080/api");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// A text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value is one line of printable characters: {text}")]
pub struct ParseError {
    text: String,
}

impl Template {
    /// The port alone.
    #[must_use]
    pub fn port() -> Template {
        Template("{port}".into())
    }

    /// Whether it is the port alone.
    #[must_use]
    pub fn is_port(&self) -> bool {
        self.0 == "{port}"
    }

    /// The value for a port. An IPv6 address stands in brackets where something follows it, as in
    /// URLs (RFC 3986).
    #[must_use]
    pub fn fill(&self, host: Host, port: Port) -> String {
        let host = match host.address() {
            std::net::IpAddr::V6(address) if self.0 != "{host}" => format!("[{address}]"),
            _ => host.to_string(),
        };
        self.0
            .replace("{host}", &host)
            .replace("{port}", &port.to_string())
    }
}

impl FromStr for Template {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Template, ParseError> {
        match text.chars().any(is_unprintable) {
            false => Ok(Template(text.into())),
            true => Err(ParseError {
                text: text.escape_debug().to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled() {
        let check = |template: &str, host: &str, expect: &str| {
            let template: Template = template.parse().unwrap();
            let filled = template.fill(host.parse().unwrap(), Port::new(80).unwrap());
            assert_eq!(filled, expect);
        };
        check("{port}", "127.0.0.1", "80");
        check("http://{host}:{port}", "localhost", "http://localhost:80");
        check("http://{host}:{port}", "::1", "http://[::1]:80");
        check("{host}", "::1", "::1");
        check("{PORT} {x} {port}{port}", "127.0.0.1", "{PORT} {x} 8080");
        check("nothing", "127.0.0.1", "nothing");
        for bad in ["a\nb", "\u{1b}[2J", "\u{202e}"] {
            assert!(bad.parse::<Template>().is_err());
        }
    }
}
