package bounded_test

import rego.v1

# With the pass each of these ends at the number of elements that the evaluation
# may make; without it each is true.

short := numbers.range(1, 300)

todo_test_1 if count([1 | some a in short; some b in short]) == 90000

todo_test_2 if count([b | some a in numbers.range(1, 200); b := [c | some c in list]]) == 200

list := numbers.range(1, 1000)

pairs contains [a, b] if {
	some a in short
	some b in short
}

todo_test_3 if count(pairs) == 90000

by_number[a] := [a, a, a, a] if some a in numbers.range(1, 20000)

todo_test_4 if count(by_number) == 20000

# A value that holds itself twice at each level.
d0 := {"a": 1} if list

d1 := {"a": d0, "b": d0}

d2 := {"a": d1, "b": d1, "c": d1, "d": d1}

d3 := {"a": d2, "b": d2, "c": d2, "d": d2}

d4 := {"a": d3, "b": d3, "c": d3, "d": d3}

d5 := {"a": d4, "b": d4, "c": d4, "d": d4}

d6 := {"a": d5, "b": d5, "c": d5, "d": d5}

d7 := {"a": d6, "b": d6, "c": d6, "d": d6}

d8 := {"a": d7, "b": d7, "c": d7, "d": d7}

deepest(value) := max([count(path) | walk(value, [path, _])])

todo_test_5 if deepest(d8) == 9
