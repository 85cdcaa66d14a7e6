//! How a template wants the content of a message: as one string, or as OpenAI's list of parts. It is read off the
//! template's syntax tree by the rule of vLLM 0.32 (`vllm/renderers/hf.py`): a template that loops over the content of
//! a message wants the list. It must not know chats.

use std::collections::HashSet;

use minijinja::machinery::ast::{CallArg, Expr, ForLoop, Macro, Stmt};
use minijinja::machinery::{WhitespaceConfig, parse};

/// Form of a message's content in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentFormat {
    /// One string; pictures are placeholders in it.
    String,
    /// A list of parts.
    OpenAi,
}

impl ContentFormat {
    /// The format that a template's text shows; a text that cannot be parsed counts as [`Self::String`].
    pub(super) fn detect(source: &str) -> Self {
        let whitespace = WhitespaceConfig { keep_trailing_newline: false, lstrip_blocks: true, trim_blocks: true };
        let Ok(Stmt::Template(tree)) = parse(source, "chat", Default::default(), whitespace) else {
            return Self::String;
        };
        let mut nodes = Nodes::default();
        nodes.statements(&tree.children);
        if nodes.loops_over_content() { Self::OpenAi } else { Self::String }
    }
}

/// The nodes that matter, in the order of the text.
#[derive(Default)]
struct Nodes<'t> {
    /// `{% set name = value %}` of a plain name.
    sets: Vec<(&'t str, &'t Expr<'t>)>,
    /// Each loop, and the macro that it stands in.
    loops: Vec<(&'t ForLoop<'t>, Option<&'t Macro<'t>>)>,
    /// Calls of a plain name.
    calls: Vec<(&'t str, &'t [CallArg<'t>])>,
    /// The macro that is being read.
    inside: Option<&'t Macro<'t>>,
}

impl<'t> Nodes<'t> {
    fn loops_over_content(&self) -> bool {
        let messages = self.aliases_of("messages");
        let message_names: Vec<&str> = self
            .loops
            .iter()
            .filter(|(each, _)| messages.iter().any(|name| is_access(&each.iter, name, None)))
            .filter_map(|(each, _)| name_of(&each.target))
            .collect();
        self.loops.iter().any(|(each, inside)| {
            let of_message = message_names.iter().any(|name| is_access(&each.iter, name, Some("content")));
            of_message
                || match (name_of(&each.iter), inside) {
                    (Some(name), None) => name == "content",
                    (Some(name), Some(inside)) => self.takes_content(inside, name, &message_names),
                    (None, _) => false,
                }
        })
    }

    /// The names that hold `root` or a part of it, through any number of `set`s.
    fn aliases_of(&self, root: &'t str) -> HashSet<&'t str> {
        let mut names = HashSet::from([root]);
        loop {
            let more: Vec<&str> = self
                .sets
                .iter()
                .filter(|(name, value)| !names.contains(name) && names.iter().any(|from| is_access(value, from, None)))
                .map(|(name, _)| *name)
                .collect();
            if more.is_empty() {
                return names;
            }
            names.extend(more);
        }
    }

    /// Whether some call hands a message's content to this parameter of the macro.
    fn takes_content(&self, of: &Macro<'t>, parameter: &str, messages: &[&str]) -> bool {
        let is_content = |value: &Expr<'t>| messages.iter().any(|name| is_access(value, name, Some("content")));
        let calls = self.calls.iter().filter(|(name, _)| *name == of.name);
        calls.flat_map(|(_, arguments)| arguments.iter().enumerate()).any(|(at, argument)| match argument {
            CallArg::Pos(value) => of.args.get(at).and_then(name_of) == Some(parameter) && is_content(value),
            CallArg::Kwarg(name, value) => *name == parameter && is_content(value),
            CallArg::PosSplat(_) | CallArg::KwargSplat(_) => false,
        })
    }

    fn statements(&mut self, statements: &'t [Stmt<'t>]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &'t Stmt<'t>) {
        match statement {
            Stmt::Template(node) => self.statements(&node.children),
            Stmt::EmitExpr(node) => self.expression(&node.expr),
            Stmt::ForLoop(node) => {
                self.loops.push((node, self.inside));
                self.expression(&node.iter);
                node.filter_expr.iter().for_each(|filter| self.expression(filter));
                self.statements(&node.body);
                self.statements(&node.else_body);
            }
            Stmt::IfCond(node) => {
                self.expression(&node.expr);
                self.statements(&node.true_body);
                self.statements(&node.false_body);
            }
            Stmt::WithBlock(node) => {
                node.assignments.iter().for_each(|(_, value)| self.expression(value));
                self.statements(&node.body);
            }
            Stmt::Set(node) => {
                if let Some(name) = name_of(&node.target) {
                    self.sets.push((name, &node.expr));
                }
                self.expression(&node.expr);
            }
            Stmt::SetBlock(node) => self.statements(&node.body),
            Stmt::AutoEscape(node) => self.statements(&node.body),
            Stmt::FilterBlock(node) => self.statements(&node.body),
            Stmt::Block(node) => self.statements(&node.body),
            Stmt::Macro(node) => self.in_macro(node),
            Stmt::CallBlock(node) => {
                self.call(&node.call.expr, &node.call.args);
                self.in_macro(&node.macro_decl);
            }
            Stmt::Do(node) => self.call(&node.call.expr, &node.call.args),
            Stmt::EmitRaw(_)
            | Stmt::Import(_)
            | Stmt::FromImport(_)
            | Stmt::Extends(_)
            | Stmt::Include(_)
            | Stmt::Continue(_)
            | Stmt::Break(_) => {}
        }
    }

    fn in_macro(&mut self, node: &'t Macro<'t>) {
        let outer = self.inside.replace(node);
        self.statements(&node.body);
        self.inside = outer;
    }

    fn call(&mut self, callee: &'t Expr<'t>, arguments: &'t [CallArg<'t>]) {
        if let Some(name) = name_of(callee) {
            self.calls.push((name, arguments));
        }
        self.expression(callee);
        self.arguments(arguments);
    }

    fn arguments(&mut self, arguments: &'t [CallArg<'t>]) {
        for argument in arguments {
            match argument {
                CallArg::Pos(value)
                | CallArg::Kwarg(_, value)
                | CallArg::PosSplat(value)
                | CallArg::KwargSplat(value) => self.expression(value),
            }
        }
    }

    /// Looks for calls in an expression.
    fn expression(&mut self, expression: &'t Expr<'t>) {
        match expression {
            Expr::Var(_) | Expr::Const(_) => {}
            Expr::Slice(node) => self.expression(&node.expr),
            Expr::UnaryOp(node) => self.expression(&node.expr),
            Expr::BinOp(node) => [&node.left, &node.right].into_iter().for_each(|side| self.expression(side)),
            Expr::Compare(node) => {
                self.expression(&node.expr);
                node.ops.iter().for_each(|operand| self.expression(&operand.expr));
            }
            Expr::IfExpr(node) => {
                self.expression(&node.test_expr);
                self.expression(&node.true_expr);
                node.false_expr.iter().for_each(|other| self.expression(other));
            }
            Expr::Filter(node) => {
                node.expr.iter().for_each(|inner| self.expression(inner));
                self.arguments(&node.args);
            }
            Expr::Test(node) => {
                self.expression(&node.expr);
                self.arguments(&node.args);
            }
            Expr::GetAttr(node) => self.expression(&node.expr),
            Expr::GetItem(node) => {
                self.expression(&node.expr);
                self.expression(&node.subscript_expr);
            }
            Expr::Call(node) => self.call(&node.expr, &node.args),
            Expr::List(node) => node.items.iter().for_each(|item| self.expression(item)),
            Expr::Map(node) => node.keys.iter().chain(&node.values).for_each(|item| self.expression(item)),
        }
    }
}

fn name_of<'t>(expression: &Expr<'t>) -> Option<&'t str> {
    match expression {
        Expr::Var(name) => Some(name.id),
        _ => None,
    }
}

/// Whether an expression is the variable, or its `key` where one is given: by itself, filtered, tested or sliced.
fn is_access(expression: &Expr<'_>, variable: &str, key: Option<&str>) -> bool {
    match (expression, key) {
        (Expr::Filter(node), _) => node.expr.as_ref().is_some_and(|inner| is_access(inner, variable, key)),
        (Expr::Test(node), _) => is_access(&node.expr, variable, key),
        (Expr::Slice(node), _) => is_access(&node.expr, variable, key),
        (Expr::GetAttr(node), Some(key)) => node.name == key && name_of(&node.expr) == Some(variable),
        (Expr::GetItem(node), Some(key)) => {
            let is_key = matches!(&node.subscript_expr, Expr::Const(name) if name.value.as_str() == Some(key));
            is_key && name_of(&node.expr) == Some(variable)
        }
        (expression, None) => name_of(expression) == Some(variable),
        _ => false,
    }
}
