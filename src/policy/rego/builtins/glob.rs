//! `glob.match` with the patterns of gobwas/glob, which OPA uses.

use regorus::Value;

use super::{Answer, regex, undefined};

pub(super) fn glob_match(args: &[Value]) -> Answer {
    let [Value::String(pattern), delimiters, Value::String(text)] = args else { return undefined("operands must be strings") };
    let separators: Option<Vec<char>> = match delimiters {
        Value::Null => Some(Vec::new()),
        Value::Array(items) if items.is_empty() => Some(vec!['.']),
        Value::Array(items) => items.iter().map(single).collect(),
        _ => None,
    };
    let Some(separators) = separators else { return undefined("delimiters must be null or an array of single characters") };
    // No regular expression begins so.
    let name: String = ["*glob", &separators.iter().collect::<String>(), pattern].join("\0");
    match regex::kept(&name, || translate(pattern, &separators)).as_ref() {
        Ok(regex) => Ok(Value::Bool(regex.is_match(text))),
        Err(bad) => Err(bad.failure()),
    }
}

fn single(value: &Value) -> Option<char> {
    let text = value.as_string().ok()?;
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

pub(super) fn quote_meta(args: &[Value]) -> Answer {
    let [Value::String(text)] = args else { return undefined("operand must be a string") };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\' | '[' | ']' | '{' | '}') {
            out.push('\\');
        }
        out.push(c);
    }
    Ok(Value::from(out))
}

/// The pattern as a regular expression over the whole text.
fn translate(pattern: &str, separators: &[char]) -> Result<String, String> {
    let listed: String = separators.iter().map(|c| escape(*c)).collect();
    let one = if listed.is_empty() { ".".to_owned() } else { format!("[^{listed}]") };
    let mut out = r"(?s)\A".to_owned();
    let mut rest = pattern.chars().peekable();
    let mut open = 0usize;
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.push_str(&format!("{one}*")),
            '?' => out.push_str(&one),
            '\\' => out.push_str(&escape(rest.next().ok_or("trailing escape")?)),
            '[' => {
                let class: String = rest.by_ref().take_while(|c| *c != ']').collect();
                out.push_str(&list(&class)?);
            }
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            c => out.push_str(&escape(c)),
        }
    }
    if open > 0 {
        return Err("missing closing }".to_owned());
    }
    out.push_str(r"\z");
    Ok(out)
}

/// `[abc]`, `[a-z]`, `[!a-z]`.
fn list(class: &str) -> Result<String, String> {
    let (negated, class) = class.strip_prefix('!').map_or((false, class), |class| (true, class));
    let chars: Vec<char> = class.chars().collect();
    let body = match chars.as_slice() {
        [] => return Err("empty list".to_owned()),
        [low, '-', high] if low <= high => format!("{}-{}", escape(*low), escape(*high)),
        [_, '-', _] => return Err("invalid range".to_owned()),
        chars => chars.iter().map(|c| escape(*c)).collect(),
    };
    Ok(format!("[{}{body}]", if negated { "^" } else { "" }))
}

fn escape(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_gobwas() {
        for (pattern, delimiters, text, want) in [
            ("*.example.com", r#"["."]"#, "api.example.com", true),
            ("*.example.com", r#"["."]"#, "a.b.example.com", false),
            ("**.example.com", r#"["."]"#, "a.b.example.com", true),
            ("a**", r#"["."]"#, "a.b.c", true),
            ("a*", "[]", "a.b", false),
            ("a*", "null", "a.b", true),
            ("{x,y}z", "[]", "yz", true),
            ("[a-c]?", "[]", "bx", true),
            ("[!a-c]", "[]", "b", false),
            (r"a\*", "[]", "a*", true),
            ("reg/*/b", r#"["/"]"#, "reg/a/b", true),
            ("reg/*/b", r#"["/"]"#, "reg/a/c/b", false),
        ] {
            let args = [Value::from(pattern), Value::from_json_str(delimiters).unwrap(), Value::from(text)];
            assert_eq!(glob_match(&args).unwrap(), Value::Bool(want), "{pattern} {delimiters} {text}");
        }
        assert!(glob_match(&[Value::from("{a"), Value::Null, Value::from("a")]).is_err());
    }
}
