//! What functions of a policy returned in one evaluation: OPA evaluates a function
//! once for the same operands, and rules rely on it for their speed.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
};

use regorus::Value;

/// Most results that are kept. The release policy of Conforma needs a thousand for a
/// build of a hundred tasks.
const MOST: usize = 16 * 1024;

/// Results by function and operands.
#[derive(Default)]
pub(super) struct Recall {
    known: HashMap<u64, Vec<Call>>,
    kept: usize,
    hashes: RandomState,
}

struct Call {
    function: usize,
    operands: Vec<Value>,
    /// [`Value::Undefined`] where there was none.
    result: Value,
}

impl Recall {
    pub(super) fn get(&self, function: usize, operands: &[Value]) -> Option<&Value> {
        let calls = self.known.get(&self.hash(function, operands))?;
        calls.iter().find(|call| call.is(function, operands)).map(|call| &call.result)
    }

    pub(super) fn set(&mut self, function: usize, operands: &[Value], result: Value) {
        if self.kept < MOST && self.get(function, operands).is_none() {
            self.kept += 1;
            let call = Call { function, operands: operands.to_vec(), result };
            self.known.entry(self.hash(function, operands)).or_default().push(call);
        }
    }

    fn hash(&self, function: usize, operands: &[Value]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        function.hash(&mut hasher);
        for operand in operands {
            match operand {
                Value::String(text) => text.hash(&mut hasher),
                Value::Number(number) => number.format_decimal().hash(&mut hasher),
                Value::Bool(value) => value.hash(&mut hasher),
                Value::Array(items) => Arc::as_ptr(items).hash(&mut hasher),
                Value::Set(items) => Arc::as_ptr(items).hash(&mut hasher),
                Value::Object(fields) => Arc::as_ptr(fields).hash(&mut hasher),
                Value::Null | Value::Undefined => {}
            }
        }
        hasher.finish()
    }
}

impl Call {
    fn is(&self, function: usize, operands: &[Value]) -> bool {
        let mut pairs = self.operands.iter().zip(operands);
        self.function == function && self.operands.len() == operands.len() && pairs.all(|(known, asked)| is_same(known, asked))
    }
}

/// Whether two operands are one. A collection is the same only where it is the very
/// same: to compare two of them could take longer than the call.
fn is_same(known: &Value, asked: &Value) -> bool {
    match (known, asked) {
        (Value::Array(known), Value::Array(asked)) => Arc::ptr_eq(known, asked),
        (Value::Set(known), Value::Set(asked)) => Arc::ptr_eq(known, asked),
        (Value::Object(known), Value::Object(asked)) => Arc::ptr_eq(known, asked),
        // 1 and 1.0 are equal, and print differently.
        (Value::Number(known), Value::Number(asked)) => known.format_decimal() == asked.format_decimal(),
        (known, asked) => known == asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_operands_of_the_same_function_are_recalled() {
        let list = Value::from(vec![Value::from("x")]);
        let operands = [Value::from("a"), list.clone(), Value::from(1u64)];
        let mut recall = Recall::default();
        recall.set(7, &operands, Value::from("found"));
        recall.set(8, &[Value::Null], Value::Undefined);
        assert_eq!(recall.get(7, &operands), Some(&Value::from("found")));
        assert_eq!(recall.get(8, &[Value::Null]), Some(&Value::Undefined));
        let equal = Value::from(vec![Value::from("x")]);
        for (function, operands) in [
            (8, vec![Value::from("a"), list.clone(), Value::from(1u64)]),
            (7, vec![Value::from("b"), list.clone(), Value::from(1u64)]),
            (7, vec![Value::from("a"), equal, Value::from(1u64)]),
            (7, vec![Value::from("a"), list.clone(), Value::from(2u64)]),
            (7, vec![Value::from("a"), list.clone()]),
            (8, vec![Value::Bool(false)]),
        ] {
            assert_eq!(recall.get(function, &operands), None, "{function} {operands:?}");
        }
    }

    #[test]
    fn no_more_is_kept_than_the_bound() {
        let mut recall = Recall::default();
        (0..MOST + 10).for_each(|number| recall.set(0, &[Value::from(number)], Value::Null));
        assert_eq!(recall.kept, MOST);
        assert_eq!(recall.get(0, &[Value::from(MOST)]), None);
    }
}
