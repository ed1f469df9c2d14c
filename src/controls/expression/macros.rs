//! Macros: what goes through a list or a map, with one variable or two. Those of one the parser has written as loops already.

use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators as op};

use super::{
    MAX_FOLDS, Refusal,
    tree::{Fold, Lower, Node, Typed, VARIABLES, boxed, refused},
    types::Type,
};

impl Lower {
    fn fresh(name: &IdedExpr) -> Result<String, Refusal> {
        match &name.expr {
            Expr::Ident(name) if !VARIABLES.contains(&name.as_str()) => Ok(name.clone()),
            _ => refused("a macro names its own new variables"),
        }
    }

    pub fn fold(&mut self, fold: Fold, over: &IdedExpr, names: &[IdedExpr], keep: Option<&IdedExpr>, body: &IdedExpr) -> Typed {
        let (over, kind) = self.value(over)?;
        let two = names.len() == 2;
        let mut types = match (&kind, two) {
            (Type::List(of), true) => vec![Type::Int, (**of).clone()],
            (Type::List(of), false) => vec![(**of).clone()],
            (Type::Map(key, value), true) => vec![(**key).clone(), (**value).clone()],
            (Type::Map(key, _), false) => vec![(**key).clone()],
            (Type::Dyn, _) => vec![Type::Dyn; names.len()],
            _ => return refused("only a list or a map can be gone through"),
        };
        let keys = if two { types[0].clone() } else { Type::Dyn };
        self.folds += 1;
        if self.folds > MAX_FOLDS {
            return refused(format!("more than {MAX_FOLDS} macros within one another"));
        }
        let before = self.locals.len();
        for name in names {
            let fresh = Self::fresh(name)?;
            if self.locals[before..].iter().any(|(n, _)| *n == fresh) {
                return refused("one name twice");
            }
            self.locals.push((fresh, types.remove(0)));
        }
        let keep = keep.map(|keep| self.of_type(keep, &Type::Bool)).transpose()?;
        let (body, found) = self.value(body)?;
        self.locals.truncate(before);
        self.folds -= 1;
        let result = match fold {
            Fold::All | Fold::Exists | Fold::One if found.agrees(&Type::Bool) => Type::Bool,
            Fold::All | Fold::Exists | Fold::One => return refused("a condition is wanted"),
            Fold::List => Type::list(found),
            Fold::Map => Type::Map(Box::new(keys), Box::new(found)),
        };
        Ok((Node::Fold { fold, over: boxed(over), two, keep, body: boxed(body) }, result))
    }

    /// The parser writes the macros of one variable as loops; each is known by its step.
    pub fn comprehension(&mut self, c: &ComprehensionExpr) -> Typed {
        let name = [IdedExpr { id: 0, expr: Expr::Ident(c.iter_var.clone()) }];
        let Expr::Call(step) = &c.loop_step.expr else { return refused("this macro is not taken") };
        let pushed = |e: &IdedExpr| match &e.expr {
            Expr::Call(CallExpr { func_name, args, .. }) if func_name == op::ADD => match args.get(1).map(|e| &e.expr) {
                Some(Expr::List(list)) => list.elements.first().cloned(),
                _ => None,
            },
            _ => None,
        };
        match (step.func_name.as_str(), &c.accu_init.expr, step.args.as_slice()) {
            (op::LOGICAL_AND, Expr::Literal(LiteralValue::Boolean(_)), [_, body]) => self.fold(Fold::All, &c.iter_range, &name, None, body),
            (op::LOGICAL_OR, Expr::Literal(LiteralValue::Boolean(_)), [_, body]) => self.fold(Fold::Exists, &c.iter_range, &name, None, body),
            (op::CONDITIONAL, Expr::Literal(LiteralValue::Int(_)), [body, ..]) => self.fold(Fold::One, &c.iter_range, &name, None, body),
            (op::CONDITIONAL, Expr::List(_), [keep, push, _]) => match pushed(push) {
                Some(body) => self.fold(Fold::List, &c.iter_range, &name, Some(keep), &body),
                None => refused("this macro is not taken"),
            },
            (op::ADD, Expr::List(_), _) => match pushed(&c.loop_step) {
                Some(body) => self.fold(Fold::List, &c.iter_range, &name, None, &body),
                None => refused("this macro is not taken"),
            },
            _ => refused("this macro is not taken"),
        }
    }
}
