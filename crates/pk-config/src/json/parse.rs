//! Reads JSON with comments and trailing commas, and nothing else of JSON5. Never forgives: what a
//! strict parser rejects beside these two is rejected here.

use jsonc_parser::ast::Value;
use jsonc_parser::common::Range;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::tokens::{Token, TokenAndRange};
use jsonc_parser::{
    CollectOptions, CommentCollectionStrategy, ParseOptions, Scanner, ScannerOptions, parse_to_ast,
};

use super::Error;
use crate::position::Position;

/// What a text says, with the place of everything in it.
pub(super) struct Document<'t> {
    pub(super) text: &'t str,
    /// None where there is nothing but blanks and comments.
    pub(super) root: Option<Value<'t>>,
}

/// Reads a text, which begins with no byte-order mark.
pub(super) fn document(text: &str) -> Result<Document<'_>, Error> {
    // A list of all tokens is larger than the tree: they are looked at one by one where they matter.
    let collect = CollectOptions {
        comments: CommentCollectionStrategy::Off,
        tokens: false,
    };
    // Each flag by name: a new one shall be a compile error, since all are allowed by default.
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &collect, &options).map_err(|error| {
        let at = Position::of(text.as_bytes(), error.range().start.min(text.len()));
        match error.kind() {
            ParseErrorKind::NestingDepthExceeded => Error::Depth { at },
            kind => Error::Syntax {
                at,
                what: lowercase(&kind.to_string()),
            },
        }
    })?;
    check_strictly(text)?;
    Ok(Document {
        text,
        root: parsed.value,
    })
}

/// The tokens from `start` to `end` of a text that has been read, in their order, comments among them.
pub(super) fn tokens(
    text: &str,
    start: usize,
    end: usize,
) -> impl Iterator<Item = TokenAndRange<'_>> {
    let options = ScannerOptions {
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let mut scanner = Scanner::new(&text[start..end], &options);
    std::iter::from_fn(move || {
        let token = scanner.scan().ok()??;
        let range = Range {
            start: start + scanner.token_start(),
            end: start + scanner.token_end(),
        };
        Some(TokenAndRange { range, token })
    })
}

/// The parser lets through two things that JSON does not allow: blanks of all the world's scripts
/// between tokens, and control characters in strings.
fn check_strictly(text: &str) -> Result<(), Error> {
    let mut end = 0;
    for token in tokens(text, 0, text.len()) {
        check_blanks(text, end, token.range.start)?;
        end = token.range.end;
        if let Token::String(_) = token.token {
            let control = text[token.range.start..end]
                .bytes()
                .position(|byte| byte < b' ');
            if let Some(control) = control {
                let at = token.range.start + control;
                return Err(syntax(text, at, "control character in a string".into()));
            }
        }
    }
    check_blanks(text, end, text.len())
}

fn check_blanks(text: &str, start: usize, end: usize) -> Result<(), Error> {
    let is_blank = |character| matches!(character, ' ' | '\t' | '\n' | '\r');
    match text[start..end].find(|character| !is_blank(character)) {
        None => Ok(()),
        Some(other) => Err(syntax(text, start + other, "not a blank of JSON".into())),
    }
}

pub(super) fn syntax(text: &str, offset: usize, what: String) -> Error {
    Error::Syntax {
        at: Position::of(text.as_bytes(), offset),
        what,
    }
}

fn lowercase(message: &str) -> String {
    let mut characters = message.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}
