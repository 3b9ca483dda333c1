//! The part of the Common Expression Language (CEL) that attribute mappings and conditions need.
//!
//! Values are JSON. There are literals, lists, maps, fields, indexes, the operators `?: || && == != < <= > >=
//! in + ! -`, and the functions of [`functions`]; `exists` and `all` for lists; `has`. Everything is bounded:
//! the length of the text, its nesting, and the steps of an evaluation.

mod eval;
mod functions;
mod lexer;
mod parser;

use std::collections::BTreeMap;

use serde_json::Value;

use self::eval::Evaluation;
use self::parser::Node;

/// The longest expression, in bytes. Google's limit for conditions is the same.
const LONGEST: usize = 4096;

/// The variables of an evaluation.
pub(crate) type Variables = BTreeMap<&'static str, Value>;

/// An expression that was read.
#[derive(Clone, Debug)]
pub(crate) struct Expression(Node);

impl Expression {
    /// Reads an expression. The error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("expected at most {LONGEST} bytes, got {}", text.len()));
        }
        parser::parse(&lexer::tokens(text)?).map(Self)
    }

    /// Evaluates the expression. The error contains no value.
    pub(crate) fn evaluate(&self, variables: &Variables) -> Result<Value, String> {
        Evaluation::new(variables).value_of(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(text: &str) -> Result<Value, String> {
        let assertion = json!({
            "sub": "repo:octo/shop:ref:refs/heads/main",
            "arn": "arn:aws:sts::123456789012:assumed-role/builder/i-0abc",
            "groups": ["admins", "devs"], "exp": 1700, "ratio": 0.5, "nested": {"a.b": {"c": true}}, "none": null,
        });
        Expression::parse(text)?.evaluate(&BTreeMap::from([("assertion", assertion)]))
    }

    #[test]
    fn expressions_have_the_values_that_cel_gives_them() {
        for (text, value) in [
            ("assertion.sub.startsWith('repo:octo/')", json!(true)),
            ("assertion.sub.endsWith(\"main\") && !assertion.sub.contains('fork')", json!(true)),
            ("'devs' in assertion.groups", json!(true)),
            ("'x' in assertion.groups || 'sub' in assertion", json!(true)),
            ("assertion.nested['a.b'].c", json!(true)),
            ("assertion['groups'][1]", json!("devs")),
            ("has(assertion.sub) && !has(assertion.missing)", json!(true)),
            ("assertion.exp > 1000 && assertion.exp <= 1700", json!(true)),
            ("assertion.ratio < 1 && assertion.exp == 1700.0", json!(true)),
            ("assertion.none == null", json!(true)),
            ("assertion.sub.extract('repo:{repo}:')", json!("octo/shop")),
            ("assertion.sub.extract('refs/{rest}')", json!("heads/main")),
            ("assertion.sub.extract('{all}')", json!("repo:octo/shop:ref:refs/heads/main")),
            ("assertion.sub.extract('nothing/{x}/')", json!("")),
            ("assertion.sub.split(':')[1]", json!("octo/shop")),
            ("assertion.groups.join(',') + '!'", json!("admins,devs!")),
            ("assertion.groups + ['x']", json!(["admins", "devs", "x"])),
            ("size(assertion.groups) + assertion.groups.size() + -1", json!(3)),
            ("'Octo'.lowerAscii() + 'x'.upperAscii() + 'a-b'.replace('-', '_')", json!("octoXa_b")),
            ("string(assertion.exp) + string(true)", json!("1700true")),
            ("assertion.groups.exists(g, g == 'devs' && assertion.exp > 1)", json!(true)),
            ("assertion.groups.all(g, g.startsWith('d'))", json!(false)),
            ("{'a': 1, 'b': [2]}.b[0]", json!(2)),
            ("1 + 2 == 3 ? 'yes' : 'no'", json!("yes")),
            ("false ? 1 : true ? 2 : 3", json!(2)),
            ("'a' < 'b' && 'it\\'s' == \"it's\" && r'\\d' == '\\\\d'", json!(true)),
            // Either side of an `&&` or `||` may decide alone.
            ("assertion.missing == 'x' || true", json!(true)),
            ("false && assertion.missing", json!(false)),
            ("assertion.missing && false", json!(false)),
            (
                "assertion.arn.contains('assumed-role') ? assertion.arn.extract('{account_arn}assumed-role/') + \
                 'assumed-role/' + assertion.arn.extract('assumed-role/{role_name}/') : assertion.arn",
                json!("arn:aws:sts::123456789012:assumed-role/builder"),
            ),
        ] {
            assert_eq!(evaluate(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_evaluated_is_an_error_without_values() {
        for text in [
            "assertion.missing",
            "assertion.missing == 'x'",
            "assertion.missing || false",
            "assertion.sub && true",
            "assertion.sub > 1",
            "assertion.sub + 1",
            "assertion.groups[2]",
            "assertion.groups[-1]",
            "assertion.sub.size.x",
            "!assertion.sub",
            "1 ? 2 : 3",
            "'x' in 'xyz'",
            "9223372036854775807 + 1",
            "assertion.sub.split('')[99999]",
            "unknown",
        ] {
            let error = evaluate(text).expect_err(text);
            assert!(!error.contains("octo"), "{error}");
        }
    }

    #[test]
    fn what_is_not_in_the_language_is_refused_when_it_is_read() {
        for text in [
            "",
            "assertion.",
            "assertion.sub ==",
            "(1",
            "[1, ",
            "'open",
            "'\\q'",
            "a = b",
            "a & b",
            "1 2",
            "assertion.sub.matches('x')",
            "assertion.sub.extract()",
            "extract('x')",
            "has('x')",
            "has(assertion)",
            "list.exists('x', true)",
            "99999999999999999999",
            "a < b < c",
            "ü",
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
        let error = Expression::parse("assertion.sub.matches('x')").unwrap_err();
        assert!(error.contains("unknown function matches") && error.contains("startsWith"), "{error}");
    }

    #[test]
    fn length_nesting_and_steps_are_bounded() {
        assert!(Expression::parse(&"1".repeat(LONGEST + 1)).is_err());
        for nested in ["(", "!", "-", "[", "{'a':", "f.exists(x,", "true ? 1 : ", "a[", "has(a)?1:"] {
            let text = nested.repeat(LONGEST / nested.len());
            assert!(Expression::parse(&text).is_err(), "{nested}");
        }
        for (start, repeated) in [("1", "+1"), ("a", ".b"), ("a", "[0]")] {
            let text = format!("{start}{}", repeated.repeat(1000));
            assert!(Expression::parse(&text).is_err(), "{repeated}");
        }
        let deepest = (0..10)
            .fold("a".to_owned(), |inner, _| format!("({inner}{}{})", "[0]".repeat(12), "+1".repeat(12)));
        assert!(Expression::parse(&deepest).unwrap().evaluate(&Variables::new()).is_err(), "and no overflow");
        let ten = "[1,2,3,4,5,6,7,8,9,10]";
        let slow = (0..8).fold("true".to_owned(), |inner, depth| format!("{ten}.all(v{depth}, {inner})"));
        let error = Expression::parse(&slow).unwrap().evaluate(&Variables::new()).unwrap_err();
        assert!(error.contains("steps"), "{error}");
        let doubled = format!("'{}'{}", "x".repeat(1000), ".replace('x', 'xxxxxxxxxx')".repeat(3));
        assert!(Expression::parse(&doubled).unwrap().evaluate(&Variables::new()).is_err());
    }
}
