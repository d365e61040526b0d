//! `policy.toml` in the state folder.

use super::{Policy, Right, Rule, SERVICE_PREFIX, Subject, owner};
use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use vrift_protocol::service::Service;

/// Name in the state folder. No file: what is compiled in.
const POLICY_FILE: &str = "policy.toml";
const DEFAULT: &str = include_str!("default.toml");
/// Rules are looked through for every request.
const RULES_MAX: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    allow: Vec<Spanned<Allow>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    uid: Option<Spanned<Uid>>,
    gid: Option<u32>,
    service: Option<Spanned<String>>,
    may: Vec<Spanned<String>>,
    below: Spanned<String>,
    #[serde(default)]
    except: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Uid {
    Number(u32),
    Name(String),
}

/// Something that is wrong, and where in the text.
struct Wrong(Range<usize>, String);

/// Reads the file in `home`.
///
/// # Errors
/// It cannot be read or is not right; line and column are named.
pub fn read(home: &Path) -> Result<Policy> {
    let path = home.join(POLICY_FILE);
    let (text, from) = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => (DEFAULT.to_string(), "the policy compiled in"),
        other => (other.with_context(|| format!("cannot read {}", path.display()))?, POLICY_FILE),
    };
    let policy = parse(&text).map(|policy| Policy { from, ..policy });
    policy.map_err(|Wrong(span, what)| {
        let (line, column) = place(&text, span.start);
        let what = what.lines().next().unwrap_or_default();
        anyhow!("{}:{line}:{column}: {what}\nnobody would be allowed what was meant, so the daemon does not start; mend the file or put it away", path.display())
    })
}

/// Line and column of a byte, from 1 on; columns are characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

fn parse(text: &str) -> Result<Policy, Wrong> {
    let file: File = toml::from_str(text)
        .map_err(|error| Wrong(error.span().unwrap_or(0..0), error.message().to_string()))?;
    if let Some(rule) = file.allow.get(RULES_MAX) {
        return Err(Wrong(rule.span(), format!("there are more than {RULES_MAX} rules")));
    }
    let rules = file.allow.into_iter().map(rule).collect::<Result<_, Wrong>>()?;
    Ok(Policy { rules, digest: blake3::hash(text.as_bytes()).to_hex().to_string(), from: "" })
}

fn rule(allow: Spanned<Allow>) -> Result<Rule, Wrong> {
    let span = allow.span();
    let allow = allow.into_inner();
    let subject = match (allow.uid, allow.gid, allow.service) {
        (Some(uid), None, None) => Subject::Uid(match uid.get_ref() {
            Uid::Number(number) => *number,
            Uid::Name(name) if name == "owner" => owner(),
            Uid::Name(name) => {
                return Err(Wrong(uid.span(), format!("uid is a number or \"owner\", not \"{name}\"")));
            }
        }),
        (None, Some(gid), None) => Subject::Gid(gid),
        (None, None, Some(service)) => {
            Subject::Service(Service::named(service.get_ref()).ok_or_else(|| {
                Wrong(service.span(), format!("there is no service \"{}\"", service.get_ref()))
            })?)
        }
        _ => return Err(Wrong(span, "a rule has one of uid, gid and service".into())),
    };
    let may = allow.may.into_iter().map(right).collect::<Result<Vec<_>, Wrong>>()?;
    if may.is_empty() {
        return Err(Wrong(span, "a rule that allows nothing".into()));
    }
    let below = prefix(allow.below)?;
    let mut except = Vec::new();
    for inner in allow.except {
        let span = inner.span();
        let inner = prefix(inner)?;
        if !inner.starts_with(&below) {
            return Err(Wrong(span, format!("{inner} is not below {below}")));
        }
        except.push(inner);
    }
    Ok(Rule { subject, may, below, except })
}

fn right(name: Spanned<String>) -> Result<Right, Wrong> {
    let all = [Right::Read, Right::Write, Right::List, Right::Admin];
    let found = all.into_iter().find(|right| right.name() == name.get_ref());
    found.ok_or_else(|| {
        Wrong(name.span(), format!("\"{}\" is none of read, write, list, admin", name.get_ref()))
    })
}

/// Ends with a slash, so that a rule for /state/app/ is none for /state/application; or is one whole key.
fn prefix(path: Spanned<String>) -> Result<String, Wrong> {
    let span = path.span();
    let path = path.into_inner();
    let roots = ["/state/", SERVICE_PREFIX];
    let plain = !path.contains("//") && !path.split('/').any(|part| part == "." || part == "..");
    let known = roots.iter().any(|root| path.starts_with(root));
    if !plain || !known || !path.ends_with('/') {
        return Err(Wrong(span, format!("{path} is no prefix: as /state/app/ or /service/NAME/")));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Who;
    use std::sync::Arc;

    fn me() -> Who {
        Who::Person { uid: owner(), gid: 12345, groups: Arc::default() }
    }

    fn policy(text: &str) -> Policy {
        parse(text).unwrap_or_else(|Wrong(span, what)| panic!("{span:?} {what}"))
    }

    #[test]
    fn what_no_rule_allows_is_denied() {
        let nobody = Who::Person { uid: 4_000_000_000, gid: 4_000_000_000, groups: Arc::default() };
        let empty = policy("");
        assert!(!empty.allows(&me(), Right::Read, b"/state/a"));
        assert!(!empty.knows(&me()));
        let default = policy(DEFAULT);
        assert!(default.allows(&me(), Right::Write, b"/state/a"));
        assert!(default.allows(&me(), Right::Read, b"/state/audit/head"));
        assert!(!default.allows(&me(), Right::Write, b"/state/audit/head"));
        assert!(!default.allows(&me(), Right::Read, b"/state/keystore/keys/1"));
        assert!(!default.allows(&me(), Right::Admin, b"/state/a"));
        for right in [Right::Read, Right::Write, Right::List, Right::Admin] {
            assert!(!default.allows(&nobody, right, b"/state/a"));
        }
        assert!(!default.knows(&nobody));
    }

    #[test]
    fn a_rule_is_for_one_subject_its_rights_and_its_prefix() {
        let policy = policy(
            "[[allow]]\ngid = 7\nmay = [\"read\"]\nbelow = \"/state/app/\"\nexcept = [\"/state/app/secret/\"]\n\
             [[allow]]\nservice = \"timed\"\nmay = [\"write\", \"list\"]\nbelow = \"/state/system/\"\n\
             [[allow]]\nuid = 9\nmay = [\"list\", \"read\"]\nbelow = \"/state/a/b/\"\n",
        );
        let (seven, timed) =
            (Who::Person { uid: 1, gid: 7, groups: Arc::default() }, Who::Service(Service::Time));
        assert!(policy.allows(&seven, Right::Read, b"/state/app/x"));
        let also = Who::Person { uid: 1, gid: 1, groups: Arc::from([3, 7]) };
        assert!(policy.asks_for_groups() && policy.allows(&also, Right::Read, b"/state/app/x"));
        assert!(!policy.allows(&also, Right::Read, b"/state/app/secret/x"));
        for path in [&b"/state/app"[..], b"/state/application", b"/state/app/secret/x", b"/state/x"] {
            assert!(!policy.allows(&seven, Right::Read, path));
        }
        assert!(!policy.allows(&seven, Right::List, b"/state/app/x"));
        assert!(!policy.allows_some_listing(&seven, b"/state/"));
        assert!(policy.allows(&timed, Right::Write, b"/state/system/x"));
        assert!(!policy.allows(&Who::Service(Service::Boot), Right::Write, b"/state/system/x"));
        let nine = Who::Person { uid: 9, gid: 9, groups: Arc::default() };
        assert!(
            policy.allows_some_listing(&nine, b"/state/")
                && policy.allows_some_listing(&nine, b"/state/a/b/c")
        );
        assert!(!policy.allows_some_listing(&nine, b"/state/b"));
        assert!(policy.shows(&nine, b"/state/a/b/c") && !policy.shows(&nine, b"/state/a/c"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_column() {
        let good = "[[allow]]\nuid = 7\nmay = [\"read\"]\nbelow = \"/state/\"\n";
        policy(good);
        let wrongs = [
            ("[[allow]\n", 1, 9, "unclosed"),
            (&good.replace("uid = 7", "uid = \"root\""), 2, 7, "owner"),
            (&good.replace("uid = 7", "uid = 7\ngid = 8"), 1, 1, "one of"),
            (&good.replace("uid = 7\n", ""), 1, 1, "one of"),
            (&good.replace("uid = 7", "service = \"none\""), 2, 11, "no service"),
            (&good.replace("uid = 7", "uid = -1"), 2, 7, ""),
            (&good.replace("\"read\"", "\"read\", \"rule\""), 3, 16, "rule"),
            (&good.replace("[\"read\"]", "[]"), 1, 1, "nothing"),
            (&good.replace("/state/", "/state"), 4, 9, "prefix"),
            (&good.replace("/state/", "/state/a/../"), 4, 9, "prefix"),
            (&good.replace("/state/", "/etc/"), 4, 9, "prefix"),
            (&format!("{good}except = [\"/service/\"]\n"), 5, 11, "not below"),
            (&format!("{good}maybe = 1\n"), 5, 1, "unknown"),
            ("deny = 1\n", 1, 1, "unknown"),
        ];
        for (text, line, column, what) in wrongs {
            let Err(Wrong(span, said)) = parse(text) else { panic!("{text}") };
            assert_eq!(place(text, span.start), (line, column), "{text}: {said}");
            assert!(said.contains(what), "{said}");
        }
    }
}
