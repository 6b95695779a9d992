//! Links between pages: each leads to a file that is there, and to a heading of it; every page of the book
//! stands in its list, and leads nowhere that the book does not have. Never looks at links that lead out of
//! the project.

use std::collections::BTreeSet;

use super::Finding;

/// The list of the book's pages.
const SUMMARY: &str = "docs/SUMMARY.md";
/// What the book is made of.
const BOOK: &str = "docs/";

/// Checks all pages among all texts, each with its path.
pub(super) fn check(texts: &[(String, String)]) -> Vec<Finding> {
    let pages = || texts.iter().filter(|(path, _)| path.ends_with(".md"));
    let mut findings = Vec::new();
    let mut listed = BTreeSet::from([SUMMARY.to_owned()]);
    for (path, text) in pages() {
        for (target, line) in links(text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                _ => joined(path, file),
            };
            let is_folder = || {
                texts
                    .iter()
                    .any(|(path, _)| path.starts_with(&format!("{file}/")))
            };
            let found = texts.iter().find(|(path, _)| *path == file);
            let is_there = match found {
                Some((_, text)) => heading.is_empty() || headings(text).any(|it| it == heading),
                None => heading.is_empty() && is_folder(),
            };
            if !is_there {
                findings.push(finding(path, line, format!("links to {target}")));
            } else if path.starts_with(BOOK) && !file.starts_with(BOOK) {
                let what = format!("links to {target}, which the book does not have");
                findings.push(finding(path, line, what));
            }
            if path == SUMMARY {
                listed.insert(file);
            }
        }
    }
    if texts.iter().any(|(path, _)| path == SUMMARY) {
        let missing = pages().filter(|(path, _)| path.starts_with(BOOK) && !listed.contains(path));
        findings.extend(missing.map(|(path, _)| finding(SUMMARY, 1, format!("has no {path}"))));
    }
    findings
}

fn finding(path: &str, line: usize, what: String) -> Finding {
    Finding {
        path: path.to_owned(),
        line,
        what,
        instead: "let readers find it",
    }
}

/// Where links lead that stay in the project, each with its line, from 1; those in code are none.
fn links(page: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut in_code = false;
    let prose = page.lines().zip(1..).filter(move |(line, _)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    });
    prose.flat_map(|(text, line)| {
        // Outside of backticks.
        text.split('`').step_by(2).flat_map(move |text| {
            let starts = text.split("](").skip(1);
            let targets = starts.filter_map(|rest| Some(rest.split_once(')')?.0));
            targets
                .filter(|it| !it.contains("://") && !it.starts_with("mailto:"))
                .map(move |it| (it, line))
        })
    })
}

/// `link` as `page` means it, from the root of the project.
fn joined(page: &str, link: &str) -> String {
    let mut parts: Vec<_> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names of a page's headings in links: lower case, without punctuation, blanks as hyphens.
fn headings(page: &str) -> impl Iterator<Item = String> {
    let titles = page.lines().filter_map(|line| line.strip_prefix('#'));
    titles.map(|title| {
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[(&str, &str)], expect: &[&str]) {
        let owned = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
        let texts: Vec<_> = texts.iter().map(owned).collect();
        let found: Vec<_> = super::check(&texts).into_iter().map(|it| it.what).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn links_lead_somewhere() {
        let other = ("docs/b/c.md", "# One\n## The `x` of it, twice\n");
        check(
            &[("docs/a.md", "[c](b/c.md) [d](b/c.md#one) [e](b)"), other],
            &[],
        );
        check(
            &[("docs/a.md", "[c](b/c.md#the-x-of-it-twice)"), other],
            &[],
        );
        check(
            &[
                (
                    "docs/b/a.md",
                    "[c](../b/c.md) [x](https://x.org) [y](#y)\n# Y",
                ),
                other,
            ],
            &[],
        );
        check(&[("docs/a.md", "[c](c.md)"), other], &["links to c.md"]);
        check(
            &[("docs/a.md", "[c](b/c.md#two)"), other],
            &["links to b/c.md#two"],
        );
        check(&[("docs/a.md", "`[c](x)`\n```\n[c](y)\n```\n")], &[]);
    }

    #[test]
    fn the_book_leads_to_nothing_that_it_does_not_have() {
        let outside = ("tests/a.md", "");
        check(
            &[("docs/a.md", "[a](../tests/a.md)"), outside],
            &["links to ../tests/a.md, which the book does not have"],
        );
        check(&[("README.md", "[a](tests/a.md)"), outside], &[]);
    }

    #[test]
    fn every_page_is_in_the_list() {
        let list = (SUMMARY, "[a](a.md)");
        check(&[list, ("docs/a.md", ""), ("README.md", "")], &[]);
        check(
            &[list, ("docs/a.md", ""), ("docs/b.md", "")],
            &["has no docs/b.md"],
        );
    }
}
