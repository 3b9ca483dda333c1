//! Evaluates an expression.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::Variables;
use super::functions::bounded;
use super::parser::{Node, Quantifier};

/// The most nodes that one evaluation may visit.
const MOST_STEPS: usize = 10_000;

/// One evaluation.
#[derive(Debug)]
pub(super) struct Evaluation<'v> {
    variables: &'v Variables,
    /// The variables of `exists` and `all`, the innermost last.
    elements: Vec<(String, Value)>,
    steps: usize,
}

impl<'v> Evaluation<'v> {
    pub(super) fn new(variables: &'v Variables) -> Self {
        Self { variables, elements: Vec::new(), steps: 0 }
    }

    pub(super) fn value_of(&mut self, node: &Node) -> Result<Value, String> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(format!("the expression takes more than {MOST_STEPS} steps"));
        }
        match node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Variable(name) => self.variable(name),
            Node::List(nodes) => self.values_of(nodes).map(Value::Array),
            Node::Map(entries) => self.map(entries),
            Node::Field(object, name) => {
                self.field(object, name)?.ok_or_else(|| format!("there is no field {name}"))
            }
            Node::Has(object, name) => Ok(self.field(object, name)?.is_some().into()),
            Node::Index(object, index) => self.element(object, index),
            Node::Not(operand) => Ok((!self.truth_of(operand)?).into()),
            Node::Negative(operand) => sum("-", &0.into(), &self.value_of(operand)?),
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.value_of(left)?, self.value_of(right)?);
                binary(operator, &left, &right)
            }
            Node::All(operands) => self.junction(operands, false),
            Node::Any(operands) => self.junction(operands, true),
            Node::Conditional(parts) => {
                let [condition, chosen, otherwise] = &**parts;
                let chosen = if self.truth_of(condition)? { chosen } else { otherwise };
                self.value_of(chosen)
            }
            Node::Call(function, arguments) => function.apply(&self.values_of(arguments)?),
            Node::ForEach { list, variable, body, quantifier } => {
                self.for_each(list, variable, body, *quantifier)
            }
        }
    }

    fn values_of(&mut self, nodes: &[Node]) -> Result<Vec<Value>, String> {
        nodes.iter().map(|node| self.value_of(node)).collect()
    }

    fn truth_of(&mut self, node: &Node) -> Result<bool, String> {
        self.value_of(node)?.as_bool().ok_or_else(|| "expected a boolean".to_owned())
    }

    fn variable(&self, name: &str) -> Result<Value, String> {
        let element =
            self.elements.iter().rev().find(|(variable, _)| variable == name).map(|(_, value)| value);
        element
            .or_else(|| self.variables.get(name))
            .cloned()
            .ok_or_else(|| format!("there is no variable {name}"))
    }

    fn map(&mut self, entries: &[(Node, Node)]) -> Result<Value, String> {
        let mut map = Map::new();
        for (key, value) in entries {
            match self.value_of(key)? {
                Value::String(key) => map.insert(key, self.value_of(value)?),
                _ => return Err("the key of a map must be a string".to_owned()),
            };
        }
        Ok(map.into())
    }

    /// Returns the value of a variable, or of a field of one, without copying what is around it.
    fn place(&self, node: &Node) -> Option<&Value> {
        match node {
            Node::Variable(name) if self.elements.iter().all(|(element, _)| element != name) => {
                self.variables.get(name.as_str())
            }
            Node::Field(object, name) => self.place(object)?.get(name),
            _ => None,
        }
    }

    /// Returns a field, or `None` if the object doesn't have it.
    fn field(&mut self, object: &Node, name: &str) -> Result<Option<Value>, String> {
        if let Some(Value::Object(fields)) = self.place(object) {
            return Ok(fields.get(name).cloned());
        }
        match self.value_of(object)? {
            Value::Object(mut fields) => Ok(fields.remove(name)),
            _ => Err(format!("the value before .{name} has no fields")),
        }
    }

    fn element(&mut self, object: &Node, index: &Node) -> Result<Value, String> {
        let found = match (self.value_of(object)?, self.value_of(index)?) {
            (Value::Array(mut list), Value::Number(index)) => {
                let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
                index.filter(|index| *index < list.len()).map(|index| list.swap_remove(index))
            }
            (Value::Object(mut fields), Value::String(name)) => fields.remove(&name),
            _ => return Err("an index is a number in a list, or a string in a map".to_owned()),
        };
        found.ok_or_else(|| "there is no element with that index".to_owned())
    }

    /// Joins operands. One operand with the value `deciding` decides, even if others are errors.
    fn junction(&mut self, operands: &[Node], deciding: bool) -> Result<Value, String> {
        let mut error = None;
        for operand in operands {
            match self.truth_of(operand) {
                Ok(value) if value == deciding => return Ok(deciding.into()),
                Ok(_) => {}
                Err(failure) => error = Some(failure),
            }
        }
        error.map_or(Ok((!deciding).into()), Err)
    }

    fn for_each(
        &mut self,
        list: &Node,
        variable: &str,
        body: &Node,
        quantifier: Quantifier,
    ) -> Result<Value, String> {
        let elements = match self.value_of(list)? {
            Value::Array(elements) => elements,
            Value::Object(fields) => fields.into_iter().map(|(name, _)| name.into()).collect(),
            _ => return Err("exists and all need a list or a map".to_owned()),
        };
        let deciding = quantifier == Quantifier::Exists;
        let mut error = None;
        for element in elements {
            self.elements.push((variable.to_owned(), element));
            let fulfilled = self.truth_of(body);
            self.elements.pop();
            match fulfilled {
                Ok(value) if value == deciding => return Ok(deciding.into()),
                Ok(_) => {}
                Err(failure) => error = Some(failure),
            }
        }
        error.map_or(Ok((!deciding).into()), Err)
    }
}

fn binary(operator: &str, left: &Value, right: &Value) -> Result<Value, String> {
    match operator {
        "==" => Ok(equal(left, right).into()),
        "!=" => Ok((!equal(left, right)).into()),
        "in" => contains(right, left).map(Value::from),
        "+" | "-" => sum(operator, left, right),
        _ => {
            let order = compare(left, right).ok_or("values of these types can't be compared")?;
            Ok(match operator {
                "<" => order == Ordering::Less,
                "<=" => order != Ordering::Greater,
                ">" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }
            .into())
        }
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(_), Value::Number(_)) => compare(left, right) == Some(Ordering::Equal),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => left == right,
    }
}

fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
        _ => None,
    }
}

fn contains(container: &Value, element: &Value) -> Result<bool, String> {
    match (container, element) {
        (Value::Array(list), element) => Ok(list.iter().any(|value| equal(value, element))),
        (Value::Object(map), Value::String(key)) => Ok(map.contains_key(key)),
        _ => Err("`in` needs a list or a map on its right".to_owned()),
    }
}

fn sum(operator: &str, left: &Value, right: &Value) -> Result<Value, String> {
    match (operator, left, right) {
        ("+", Value::String(left), Value::String(right)) => {
            bounded(left.len() + right.len())?;
            Ok(format!("{left}{right}").into())
        }
        ("+", Value::Array(left), Value::Array(right)) => {
            bounded(left.len() + right.len())?;
            Ok(left.iter().chain(right).cloned().collect::<Vec<_>>().into())
        }
        (_, Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => {
                let result = if operator == "+" { left.checked_add(right) } else { left.checked_sub(right) };
                result.map(Value::from).ok_or_else(|| "a number is too large".to_owned())
            }
            _ => {
                let (left, right) = (left.as_f64().unwrap_or_default(), right.as_f64().unwrap_or_default());
                Ok(Value::from(if operator == "+" { left + right } else { left - right }))
            }
        },
        _ => Err(format!("values of these types have no {operator}")),
    }
}
