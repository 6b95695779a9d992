//! Texts with variables in them: `${NAME}` and `${NAME:-default}`. Never reads the environment:
//! what a file says means the same for everybody.

use std::collections::BTreeMap;

/// What variables stand for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<String, Meaning>);

/// What a variable, or a text with variables in it, comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A text.
    Text(String),
    /// The number of a port, and nothing else.
    Port(u16),
}

/// A text can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit {
    /// At which byte of the text.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) what: String,
}

impl Meaning {
    pub(crate) fn text(&self) -> String {
        match self {
            Meaning::Text(text) => text.clone(),
            Meaning::Port(port) => port.to_string(),
        }
    }
}

impl Variables {
    pub(crate) fn set(&mut self, name: impl Into<String>, meaning: Meaning) {
        self.0.insert(name.into(), meaning);
    }

    /// Their names and texts.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        let pairs = self.0.into_iter();
        pairs.map(|(name, it)| (name, it.text())).collect()
    }

    /// Their names and texts.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(name, it)| (name.as_str(), it.text()))
    }

    /// Puts what variables stand for in their places. `$${` is a `${` that is none; every other `$`
    /// is what it is.
    pub(crate) fn fill(&self, text: &str) -> Result<Meaning, Unfit> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(found) = rest.find("${") {
            let at = text.len() - rest.len() + found;
            if let Some(before) = rest[..found].strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = &rest[found + 2..];
                continue;
            }
            filled.push_str(&rest[..found]);
            let inner = &rest[found + 2..];
            let Some(end) = inner.find('}') else {
                let what = "${ without a }".into();
                return Err(Unfit { at, what });
            };
            let meaning = self.one(&inner[..end]);
            let meaning = meaning.map_err(|what| Unfit { at, what })?;
            rest = &inner[end + 1..];
            if at == 0 && rest.is_empty() {
                return Ok(meaning);
            }
            filled.push_str(&meaning.text());
        }
        filled.push_str(rest);
        Ok(Meaning::Text(filled))
    }

    /// What stands between the braces.
    fn one(&self, inner: &str) -> Result<Meaning, String> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_name(name) {
            return Err(format!("not a variable: ${{{inner}}}"));
        }
        let is_empty =
            |meaning: &Meaning| matches!(meaning, Meaning::Text(text) if text.is_empty());
        match (self.0.get(name), default) {
            (Some(found), None) => Ok(found.clone()),
            (Some(found), Some(_)) if !is_empty(found) => Ok(found.clone()),
            (_, Some(default)) => Ok(Meaning::Text(default.into())),
            (None, None) => {
                let near = nearest(name, self.0.keys().map(String::as_str));
                let near = near.map(|near| format!("; did you mean {near}?"));
                Err(format!("{name} is not set{}", near.unwrap_or_default()))
            }
        }
    }
}

/// POSIX: letters, digits and underscores, not beginning with a digit.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    bytes
        .next()
        .is_some_and(|first| is_inner(first) && !first.is_ascii_digit())
        && bytes.all(is_inner)
}

/// The one of several that is meant, most likely.
pub(crate) fn nearest<'n>(name: &str, of: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    of.map(|other| (strsim::damerau_levenshtein(name, other), other))
        .filter(|(distance, other)| *distance <= (other.len().max(name.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in() {
        let mut variables = Variables::default();
        variables.set("WEB_PORT", Meaning::Port(8080));
        variables.set("HOST", Meaning::Text("::1".into()));
        variables.set("EMPTY", Meaning::Text(String::new()));
        let check = |text: &str, expect: Result<Meaning, (usize, &str)>| {
            let expect = expect.map_err(|(at, what)| Unfit {
                at,
                what: what.into(),
            });
            assert_eq!(variables.fill(text), expect, "{text}");
        };
        let text = |text: &str| Ok(Meaning::Text(text.into()));
        check("", text(""));
        check("$HOST $ $$ {}", text("$HOST $ $$ {}"));
        check("${WEB_PORT}", Ok(Meaning::Port(8080)));
        check("http://${HOST}:${WEB_PORT}/", text("http://::1:8080/"));
        check("${NONE:-localhost}", text("localhost"));
        check("${EMPTY:-x}${EMPTY}", text("x"));
        check("${NONE:-}", text(""));
        check("${WEB_PORT:-1}", Ok(Meaning::Port(8080)));
        check("a $${HOST} ${HOST}", text("a ${HOST} ::1"));
        check("a${NONE}", Err((1, "NONE is not set")));
        check(
            "${WEB_PROT}",
            Err((0, "WEB_PROT is not set; did you mean WEB_PORT?")),
        );
        check("é${", Err((2, "${ without a }")));
        check("${a b}", Err((0, "not a variable: ${a b}")));
        check("${}", Err((0, "not a variable: ${}")));
    }
}
