//! Builds the tree of an expression from its tokens.

use serde_json::Value;

use super::functions::Function;
use super::lexer::Token;

/// How deep an expression may be nested, and how many operands or fields may follow each other, so that no
/// thread's stack overflows.
const DEEPEST: usize = 12;

/// An expression.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Literal(Value),
    Variable(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Field(Box<Node>, String),
    Index(Box<Node>, Box<Node>),
    /// `has(object.field)`
    Has(Box<Node>, String),
    Not(Box<Node>),
    Negative(Box<Node>),
    Binary(&'static str, Box<Node>, Box<Node>),
    /// Operands that `&&` joins.
    All(Vec<Node>),
    /// Operands that `||` joins.
    Any(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    Call(Function, Vec<Node>),
    ForEach {
        list: Box<Node>,
        variable: String,
        body: Box<Node>,
        quantifier: Quantifier,
    },
}

/// How many elements of a list must fulfill a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    All,
    Exists,
}

pub(super) fn parse(tokens: &[Token]) -> Result<Node, String> {
    let mut parser = Parser { rest: tokens, depth: 0 };
    let node = parser.expression()?;
    match parser.rest {
        [] => Ok(node),
        [token, ..] => Err(format!("unexpected {}", describe(token))),
    }
}

struct Parser<'t> {
    rest: &'t [Token],
    depth: usize,
}

const COMPARISONS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

impl Parser<'_> {
    /// Runs `read` one level deeper.
    fn deeper(&mut self, read: impl FnOnce(&mut Self) -> Result<Node, String>) -> Result<Node, String> {
        if self.depth == DEEPEST {
            return Err(format!("expected at most {DEEPEST} levels of nesting"));
        }
        self.depth += 1;
        let node = read(self);
        self.depth -= 1;
        node
    }

    fn expression(&mut self) -> Result<Node, String> {
        self.deeper(|parser| {
            let condition =
                parser.joined("||", Node::Any, |parser| parser.joined("&&", Node::All, Self::relation))?;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let chosen = parser.expression()?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            Ok(Node::Conditional(Box::new([condition, chosen, otherwise])))
        })
    }

    /// Reads operands that `operator` joins.
    fn joined(
        &mut self,
        operator: &'static str,
        join: fn(Vec<Node>) -> Node,
        mut operand: impl FnMut(&mut Self) -> Result<Node, String>,
    ) -> Result<Node, String> {
        let first = operand(self)?;
        if self.rest.first() != Some(&Token::Symbol(operator)) {
            return Ok(first);
        }
        let mut operands = vec![first];
        while self.takes(operator) {
            operands.push(operand(self)?);
        }
        Ok(join(operands))
    }

    fn relation(&mut self) -> Result<Node, String> {
        let left = self.sum()?;
        let comparison = COMPARISONS.into_iter().find(|comparison| self.takes(comparison));
        let operator = comparison.or_else(|| self.takes_name("in").then_some("in"));
        let Some(operator) = operator else { return Ok(left) };
        Ok(Node::Binary(operator, Box::new(left), Box::new(self.sum()?)))
    }

    fn sum(&mut self) -> Result<Node, String> {
        let mut node = self.unary()?;
        let mut length = 0;
        while let Some(operator) = ["+", "-"].into_iter().find(|operator| self.takes(operator)) {
            // Each operand makes the tree deeper.
            length += 1;
            if length > DEEPEST {
                return Err(format!("expected at most {DEEPEST} operands of + and -"));
            }
            node = Node::Binary(operator, Box::new(node), Box::new(self.unary()?));
        }
        Ok(node)
    }

    fn unary(&mut self) -> Result<Node, String> {
        if self.takes("!") {
            return Ok(Node::Not(Box::new(self.deeper(Self::unary)?)));
        }
        if self.takes("-") {
            return Ok(Node::Negative(Box::new(self.deeper(Self::unary)?)));
        }
        let mut node = self.primary()?;
        let mut length = 0;
        loop {
            node = if self.takes(".") {
                self.member(node)?
            } else if self.takes("[") {
                let index = self.expression()?;
                self.expect("]")?;
                Node::Index(Box::new(node), Box::new(index))
            } else {
                return Ok(node);
            };
            length += 1;
            if length > DEEPEST {
                return Err(format!("expected at most {DEEPEST} fields, indexes and calls in a row"));
            }
        }
    }

    /// Reads what follows the dot after `object`: a field or a call.
    fn member(&mut self, object: Node) -> Result<Node, String> {
        let name = self.name()?;
        if !self.takes("(") {
            return Ok(Node::Field(Box::new(object), name));
        }
        let quantifier = match name.as_str() {
            "exists" => Quantifier::Exists,
            "all" => Quantifier::All,
            _ => {
                let mut arguments = self.list(")")?;
                let function = Function::method(&name, arguments.len())?;
                arguments.insert(0, object);
                return Ok(Node::Call(function, arguments));
            }
        };
        let variable = self.name()?;
        self.expect(",")?;
        let body = Box::new(self.expression()?);
        self.expect(")")?;
        Ok(Node::ForEach { list: Box::new(object), variable, body, quantifier })
    }

    fn primary(&mut self) -> Result<Node, String> {
        let Some((token, rest)) = self.rest.split_first() else {
            return Err("unexpected end".to_owned());
        };
        self.rest = rest;
        match token {
            Token::Literal(value) => Ok(Node::Literal(value.clone())),
            Token::Name(name) if self.takes("(") => self.call(name),
            Token::Name(name) => Ok(Node::Variable(name.clone())),
            Token::Symbol("(") => {
                let node = self.expression()?;
                self.expect(")")?;
                Ok(node)
            }
            Token::Symbol("[") => self.list("]").map(Node::List),
            Token::Symbol("{") => self.map(),
            Token::Symbol(_) => Err(format!("unexpected {}", describe(token))),
        }
    }

    fn call(&mut self, name: &str) -> Result<Node, String> {
        let mut arguments = self.list(")")?;
        if name != "has" {
            return Function::global(name, arguments.len()).map(|function| Node::Call(function, arguments));
        }
        match (arguments.pop(), arguments.is_empty()) {
            (Some(Node::Field(object, field)), true) => Ok(Node::Has(object, field)),
            _ => Err("has needs one field, such as assertion.sub".to_owned()),
        }
    }

    /// Reads expressions with commas between them, up to `end`.
    fn list(&mut self, end: &'static str) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while !self.takes(end) {
            if !nodes.is_empty() {
                self.expect(",")?;
            }
            nodes.push(self.expression()?);
        }
        Ok(nodes)
    }

    fn map(&mut self) -> Result<Node, String> {
        let mut entries = Vec::new();
        while !self.takes("}") {
            if !entries.is_empty() {
                self.expect(",")?;
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(Node::Map(entries))
    }

    fn name(&mut self) -> Result<String, String> {
        match self.rest {
            [Token::Name(name), rest @ ..] => {
                self.rest = rest;
                Ok(name.clone())
            }
            [token, ..] => Err(format!("expected a name, got {}", describe(token))),
            [] => Err("expected a name, got the end".to_owned()),
        }
    }

    /// Returns whether the next token is `symbol`, and moves past it.
    fn takes(&mut self, symbol: &'static str) -> bool {
        self.takes_token(&Token::Symbol(symbol))
    }

    fn takes_name(&mut self, name: &str) -> bool {
        self.takes_token(&Token::Name(name.to_owned()))
    }

    fn takes_token(&mut self, token: &Token) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if first == token => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, symbol: &'static str) -> Result<(), String> {
        if self.takes(symbol) {
            return Ok(());
        }
        let got = self.rest.first().map_or_else(|| "the end".to_owned(), describe);
        Err(format!("expected {symbol}, got {got}"))
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Literal(_) => "a literal".to_owned(),
        Token::Name(name) => format!("the name {name}"),
        Token::Symbol(symbol) => (*symbol).to_owned(),
    }
}
