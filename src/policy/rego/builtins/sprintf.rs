//! `sprintf`, as Go's `fmt.Sprintf` prints it: it never fails, whatever the
//! arguments are. The messages of most rules are made by it, and a message that
//! cannot be made is a violation that disappears.

use regorus::Value;

use super::{Answer, Failure, Session, bounds, undefined};

/// Widest field; Go's own bound.
const MAX_WIDTH: usize = 1_000_000;

/// What Go sees of a value.
enum Arg {
    Int(i128),
    /// An integer beyond `i128`, in digits.
    Big(String),
    Float(f64),
    Text(String),
}

pub(super) fn sprintf(args: &[Value], session: &Session) -> Answer {
    printed(args, session.left())
}

/// The text, of at most `most` bytes.
fn printed(args: &[Value], most: u64) -> Answer {
    let [Value::String(format), Value::Array(values)] = args else {
        return undefined("operands must be a string and an array");
    };
    if values.iter().map(|value| bounds::weigh(value, most)).fold(0, u64::saturating_add) > most {
        return Err(bounds::memory());
    }
    let args: Vec<Arg> = values.iter().map(arg).collect();
    let printer = Printer { args: &args, out: String::new(), most, next: 0, reordered: false };
    printer.print(format).map(Value::from)
}

fn arg(value: &Value) -> Arg {
    match value {
        Value::String(text) => Arg::Text(text.to_string()),
        Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(int), _) => Arg::Int(int),
            (None, _) if number.is_integer() => Arg::Big(number.format_decimal()),
            (None, Some(float)) => Arg::Float(float),
            (None, None) => Arg::Text(number.format_decimal()),
        },
        other => Arg::Text(super::text::rego(other)),
    }
}

#[derive(Clone, Copy, Default)]
struct Flags {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    args: &'a [Arg],
    out: String,
    most: u64,
    next: usize,
    reordered: bool,
}

impl Printer<'_> {
    fn print(mut self, format: &str) -> Result<String, Failure> {
        let chars: Vec<char> = format.chars().collect();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            if c != '%' {
                self.out.push(c);
                continue;
            }
            at = self.directive(&chars, at);
            if bounds::size(self.out.len()) > self.most {
                return Err(bounds::memory());
            }
        }
        if !self.reordered && self.next < self.args.len() {
            let extra: Vec<_> = self.args[self.next..].iter().map(|arg| format!("{}={}", type_name(arg), plain(arg))).collect();
            self.out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
        }
        Ok(self.out)
    }

    /// Prints what stands behind a `%`; returns where the text goes on.
    fn directive(&mut self, chars: &[char], mut at: usize) -> usize {
        let mut flags = Flags::default();
        let mut good_index = true;
        self.reordered = false;
        while let Some(c) = chars.get(at) {
            match c {
                '+' => flags.plus = true,
                '-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                '0' => flags.zero = !flags.minus,
                _ => break,
            }
            at += 1;
        }
        let mut indexed;
        (at, indexed) = self.index(chars, at, &mut good_index);
        if chars.get(at) == Some(&'*') {
            at += 1;
            match self.star() {
                Some(width) => {
                    flags.minus |= width < 0;
                    flags.zero &= width >= 0;
                    flags.width = usize::try_from(width.unsigned_abs()).ok();
                }
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            indexed = false;
        } else {
            let width;
            (at, width) = digits(chars, at);
            if indexed && width.is_some() {
                good_index = false;
            }
            flags.width = width;
        }
        if chars.get(at) == Some(&'.') {
            at += 1;
            if indexed {
                good_index = false;
            }
            (at, indexed) = self.index(chars, at, &mut good_index);
            if chars.get(at) == Some(&'*') {
                at += 1;
                match self.star() {
                    Some(precision) => flags.precision = usize::try_from(precision).ok(),
                    None => self.out.push_str("%!(BADPREC)"),
                }
                indexed = false;
            } else {
                let precision;
                (at, precision) = digits(chars, at);
                flags.precision = Some(precision.unwrap_or(0));
            }
        }
        if !indexed {
            (at, _) = self.index(chars, at, &mut good_index);
        }
        let Some(&verb) = chars.get(at) else {
            self.out.push_str("%!(NOVERB)");
            return at;
        };
        match self.args.get(self.next) {
            _ if verb == '%' => self.out.push('%'),
            _ if !good_index => self.out.push_str(&format!("%!{verb}(BADINDEX)")),
            None => self.out.push_str(&format!("%!{verb}(MISSING)")),
            Some(arg) => {
                self.next += 1;
                let text = formatted(arg, verb, flags);
                self.out.push_str(&text);
            }
        }
        at + 1
    }

    /// Reads `[n]`.
    fn index(&mut self, chars: &[char], at: usize, good: &mut bool) -> (usize, bool) {
        if chars.get(at) != Some(&'[') {
            return (at, false);
        }
        self.reordered = true;
        let Some(length) = chars[at..].iter().position(|c| *c == ']') else {
            *good = false;
            return (at + 1, false);
        };
        let text: String = chars[at + 1..at + length].iter().collect();
        match text.parse::<usize>() {
            Ok(number) if number >= 1 && number <= self.args.len() && text.bytes().all(|b| b.is_ascii_digit()) => {
                self.next = number - 1;
                (at + length + 1, true)
            }
            _ => {
                *good = false;
                (at + length + 1, false)
            }
        }
    }

    fn star(&mut self) -> Option<i128> {
        let arg = self.args.get(self.next);
        self.next += usize::from(arg.is_some());
        match arg {
            Some(Arg::Int(int)) if int.unsigned_abs() <= 1_000_000 => Some(*int),
            _ => None,
        }
    }
}

fn digits(chars: &[char], at: usize) -> (usize, Option<usize>) {
    let text: String = chars[at..].iter().take_while(|c| c.is_ascii_digit()).collect();
    let number = text.parse().ok().filter(|number| *number <= MAX_WIDTH);
    (at + text.len(), number)
}

fn type_name(arg: &Arg) -> &'static str {
    match arg {
        Arg::Int(_) => "int",
        Arg::Big(_) => "*big.Int",
        Arg::Float(_) => "float64",
        Arg::Text(_) => "string",
    }
}

fn plain(arg: &Arg) -> String {
    formatted(arg, 'v', Flags::default())
}

fn bad(arg: &Arg, verb: char) -> String {
    format!("%!{verb}({}={})", type_name(arg), plain(arg))
}

fn formatted(arg: &Arg, verb: char, flags: Flags) -> String {
    match (arg, verb) {
        (_, 'T') => pad(type_name(arg).to_owned(), flags),
        (Arg::Text(text), _) => string(arg, text, verb, flags),
        (Arg::Int(int), _) => integer(arg, *int, verb, flags),
        (Arg::Big(text), 'd' | 'v' | 's') => number(text.clone(), flags),
        (Arg::Float(float), _) => float_text(arg, *float, verb, flags),
        (Arg::Big(_), _) => bad(arg, verb),
    }
}

fn string(arg: &Arg, text: &str, verb: char, flags: Flags) -> String {
    let cut: String = match flags.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    };
    match verb {
        'v' if flags.sharp => pad(super::text::quote(&cut), flags),
        'v' | 's' => pad(cut, flags),
        'q' if flags.sharp && !cut.contains('`') && !cut.chars().any(|c| c.is_control() && c != '\t') => {
            pad(format!("`{cut}`"), flags)
        }
        'q' if flags.plus => pad(super::text::quote_ascii(&cut), flags),
        'q' => pad(super::text::quote(&cut), flags),
        'x' | 'X' => {
            let bytes = &text.as_bytes()[..flags.precision.unwrap_or(text.len()).min(text.len())];
            let separator = if flags.space { " " } else { "" };
            let hex: Vec<_> =
                bytes.iter().map(|byte| if verb == 'x' { format!("{byte:02x}") } else { format!("{byte:02X}") }).collect();
            let prefix = if flags.sharp && !bytes.is_empty() { if verb == 'x' { "0x" } else { "0X" } } else { "" };
            pad(format!("{prefix}{}", hex.join(separator)), flags)
        }
        _ => bad(arg, verb),
    }
}

fn integer(arg: &Arg, int: i128, verb: char, flags: Flags) -> String {
    let magnitude = int.unsigned_abs();
    let (prefix, digits) = match verb {
        'v' | 'd' => ("", magnitude.to_string()),
        'b' => (if flags.sharp { "0b" } else { "" }, format!("{magnitude:b}")),
        'o' => (if flags.sharp { "0" } else { "" }, format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => (if flags.sharp { "0x" } else { "" }, format!("{magnitude:x}")),
        'X' => (if flags.sharp { "0X" } else { "" }, format!("{magnitude:X}")),
        'c' => return pad(character(int).to_string(), flags),
        'q' => return pad(super::text::quote_char(character(int)), flags),
        'U' => return pad(format!("U+{magnitude:04X}"), flags),
        _ => return bad(arg, verb),
    };
    if flags.precision == Some(0) && int == 0 {
        return pad(String::new(), Flags { zero: false, ..flags });
    }
    let sign = sign(int < 0, flags);
    let digits = match flags.precision {
        Some(precision) => zeros(digits, precision),
        None if flags.zero => {
            let width = flags.width.unwrap_or(0).saturating_sub(sign.len() + prefix.len());
            zeros(digits, width)
        }
        None => digits,
    };
    pad(format!("{sign}{prefix}{digits}"), Flags { zero: false, ..flags })
}

fn character(int: i128) -> char {
    u32::try_from(int).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn sign(negative: bool, flags: Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    }
}

fn zeros(digits: String, width: usize) -> String {
    let missing = width.saturating_sub(digits.len());
    format!("{}{digits}", "0".repeat(missing))
}

fn float_text(arg: &Arg, float: f64, verb: char, flags: Flags) -> String {
    let text = match verb {
        'v' | 'g' | 'G' => general(float.abs(), flags.precision, flags.sharp),
        'e' | 'E' => exponent(float.abs(), Some(flags.precision.unwrap_or(6))),
        'f' | 'F' => format!("{:.*}", flags.precision.unwrap_or(6), float.abs()),
        _ => return bad(arg, verb),
    };
    let text = if matches!(verb, 'G' | 'E') { text.to_uppercase() } else { text };
    let finite = float.is_finite();
    let text = match () {
        () if float.is_nan() => "NaN".to_owned(),
        () if float.is_infinite() => format!("{}Inf", if float < 0.0 { "-" } else { "+" }),
        () => format!("{}{text}", sign(float.is_sign_negative(), flags)),
    };
    number(text, Flags { zero: flags.zero && finite, ..flags })
}

/// A number that may be filled with zeros behind its sign.
fn number(text: String, flags: Flags) -> String {
    if !flags.zero {
        return pad(text, flags);
    }
    let (sign, digits) = match text.strip_prefix(['-', '+', ' ']) {
        Some(digits) => text.split_at(text.len() - digits.len()),
        None => ("", text.as_str()),
    };
    let width = flags.width.unwrap_or(0).saturating_sub(sign.len());
    format!("{sign}{}", zeros(digits.to_owned(), width))
}

/// Go's `%g`: shortest digits unless a precision is given.
fn general(float: f64, precision: Option<usize>, sharp: bool) -> String {
    if float == 0.0 {
        return "0".to_owned();
    }
    let precision = precision.map(|precision| precision.max(1));
    let scientific = exponent(float, precision.map(|precision| precision - 1));
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let shown = mantissa.bytes().filter(u8::is_ascii_digit).count();
    let most = match precision {
        None => 21,
        Some(precision) if precision > shown => i32::try_from(shown).unwrap_or(21),
        Some(precision) => i32::try_from(precision).unwrap_or(21),
    };
    if power < -4 || power >= most {
        let trimmed = if precision.is_some() && !sharp { trim(mantissa) } else { mantissa.to_owned() };
        format!("{trimmed}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
    } else {
        match precision {
            None => format!("{float}"),
            Some(precision) => {
                let decimals = usize::try_from(i32::try_from(precision).unwrap_or(0) - 1 - power).unwrap_or(0);
                let text = format!("{float:.decimals$}");
                if sharp { text } else { trim(&text) }
            }
        }
    }
}

fn trim(digits: &str) -> String {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').to_owned() } else { digits.to_owned() }
}

fn exponent(float: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{float:.precision$e}"),
        None => format!("{float:e}"),
    };
    match text.split_once('e') {
        Some((mantissa, power)) => {
            let power: i32 = power.parse().unwrap_or(0);
            format!("{mantissa}e{}{:02}", if power < 0 { '-' } else { '+' }, power.unsigned_abs())
        }
        None => text,
    }
}

fn pad(text: String, flags: Flags) -> String {
    let missing = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    match (missing, flags.minus, flags.zero) {
        (0, ..) => text,
        (_, true, _) => format!("{text}{}", " ".repeat(missing)),
        (_, false, true) => format!("{}{text}", "0".repeat(missing)),
        (_, false, false) => format!("{}{text}", " ".repeat(missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(format: &str, args: &str) -> String {
        let args = Value::from_json_str(args).unwrap();
        let Ok(Value::String(text)) = printed(&[Value::from(format), args], u64::MAX) else { panic!("{format}") };
        text.to_string()
    }

    /// Expectations are what Go 1.25 prints for OPA's arguments.
    #[test]
    fn prints_as_go_does() {
        for (format, args, want) in [
            ("%s and %s", r#"["a", "b"]"#, "a and b"),
            ("%d items", "[3]", "3 items"),
            ("%q", r#"["a\"b"]"#, r#""a\"b""#),
            ("%q", "[0]", r"'\x00'"),
            ("%q", "[65]", "'A'"),
            ("%q", r#"["\u0001\u007f\u00e9\u200b"]"#, "\"\\x01\\x7fé\\u200b\""),
            ("%v %v %v", r#"[true, null, [1, "a", {"b": 2}]]"#, r#"true null [1, "a", {"b": 2}]"#),
            ("%d", r#"["a"]"#, "%!d(string=a)"),
            ("%d", "[true]", "%!d(string=true)"),
            ("%t", "[true]", "%!t(string=true)"),
            ("%s", "[5]", "%!s(int=5)"),
            ("%d", "[1.5]", "%!d(float64=1.5)"),
            ("%d %d", "[1]", "1 %!d(MISSING)"),
            ("%d", "[1, 2, \"x\"]", "1%!(EXTRA int=2, string=x)"),
            ("%", "[]", "%!(NOVERB)"),
            ("100%%", "[]", "100%"),
            ("%[2]s %[1]s", r#"["a", "b"]"#, "b a"),
            ("%[3]s", r#"["a"]"#, "%!s(BADINDEX)"),
            ("%z", "[1]", "%!z(int=1)"),
            ("%5d|%-5d|%05d|%+d", "[1, 2, 3, 4]", "    1|2    |00003|+4"),
            ("%0.4d", "[7]", "0007"),
            ("%10s|%-10s|%.2s", r#"["ab", "cd", "efg"]"#, "        ab|cd        |ef"),
            ("%x %X %#x", r#"[255, 255, "hi"]"#, "ff FF 0x6869"),
            ("%.2f %f %e %g", "[3.14159, 1.5, 1500.5, 0.00001]", "3.14 1.500000 1.500500e+03 1e-05"),
            ("%d", "[12345678901234567890]", "12345678901234567890"),
            ("%*d", "[5, 42]", "   42"),
            ("%c%U", "[65, 65]", "AU+0041"),
        ] {
            assert_eq!(run(format, args), want, "{format} {args}");
        }
    }
}
