//! Keeps a question from taking the process with it: statements that nest deep get room or are refused, and a panic inside the
//! query engine becomes an error.
//!
//! Parts of DataFusion and the destructors of its trees recurse. A thread with a large stack plans; what it hands over to run on
//! ordinary threads nests at most [`MAX_DEPTH`] deep.

use std::any::Any;
use std::marker::PhantomData;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion, TreeNodeVisitor};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use icefold_core::{Error, ErrorKind, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::walk::{self, Visited};

/// Stack of the thread that plans. Only what is used of it takes memory; it has room for [`MAX_WORDS`] levels.
const PLANNING_STACK_BYTES: usize = 1 << 30;

/// The longest statement in operators and names, values of lists not counted: each may nest one level deeper.
const MAX_WORDS: usize = 100_000;

/// How deep expressions and steps of a plan may nest when they run, on threads with stacks of 2 MiB.
const MAX_DEPTH: usize = 500;

/// Refuses a statement that no stack can hold.
///
/// # Errors
/// `InvalidInput` naming the limit. Text that is no SQL passes: the parser says what is wrong.
pub(crate) fn check_length(sql: &str) -> Result<()> {
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, sql).tokenize() else { return Ok(()) };
    let is_value = |token: &Token| {
        matches!(token, Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_))
    };
    let words = tokens.iter().filter(|token| !is_value(token)).count();
    if words > MAX_WORDS {
        return Err(Error::invalid(format!(
            "the query has {words} operators and names, more than {MAX_WORDS}: write a long list as `x IN (…)`"
        )));
    }
    Ok(())
}

/// Refuses a statement whose expressions or set operations nest deeper than what may run, before anything is done with it that takes longer than
/// it is long. Chains of `AND` and `OR` do not count: they are made shallow, see `planner::balance`.
///
/// # Errors
/// `InvalidInput` naming the limit.
pub(crate) fn check_nesting(statement: &Statement) -> Result<()> {
    let inner = match statement {
        Statement::Statement(inner) => inner,
        Statement::Explain(explain) => return check_nesting(&explain.statement),
        _ => return Ok(()),
    };
    let mut nesting = Nesting::default();
    // It only counts, which does not end early.
    let _ = walk::read(inner.as_ref(), &mut nesting);
    refuse_beyond("a chain of UNION, EXCEPT or INTERSECT", nesting.set_operations)?;
    refuse_beyond("an expression", nesting.deepest)
}

/// Counts how deep expressions nest as they were written.
#[derive(Default)]
struct Nesting {
    now: usize,
    deepest: usize,
    set_operations: usize,
}

fn is_chain(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::BinaryOp { op: ast::BinaryOperator::And | ast::BinaryOperator::Or, .. })
}

/// Returns how many set operations (`UNION`, `EXCEPT`, `INTERSECT`) follow each other.
fn set_operations(mut body: &ast::SetExpr) -> usize {
    let mut count = 0;
    while let ast::SetExpr::SetOperation { left, .. } = body {
        count += 1;
        body = left;
    }
    count
}

impl ast::Visitor for Nesting {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &ast::Query) -> Visited {
        self.set_operations = self.set_operations.max(set_operations(&query.body));
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> Visited {
        self.now += usize::from(!is_chain(expr));
        self.deepest = self.deepest.max(self.now);
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &ast::Expr) -> Visited {
        self.now -= usize::from(!is_chain(expr));
        ControlFlow::Continue(())
    }
}

/// Refuses a plan that nests deeper than the stacks of ordinary threads.
///
/// # Errors
/// `InvalidInput` naming the limit.
pub(crate) fn check_depth(plan: &LogicalPlan) -> Result<()> {
    let mut deepest = 0;
    // It only measures, which does not fail.
    let _ = plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr: &Expr| {
            deepest = deepest.max(Depth::of(expr));
            Ok(TreeNodeRecursion::Continue)
        })
    });
    refuse_beyond("an expression", deepest)?;
    refuse_beyond("a plan", Depth::of(plan))
}

fn refuse_beyond(what: &str, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::invalid(format!(
            "the query has {what} that nests {depth} levels deep, more than {MAX_DEPTH}: write `x IN (…)` for many \
             alternatives, or ask in several queries"
        )));
    }
    Ok(())
}

/// Measures how deep a tree of `N` nests.
struct Depth<N> {
    now: usize,
    deepest: usize,
    nodes: PhantomData<N>,
}

impl<N: TreeNode> Depth<N> {
    fn of(tree: &N) -> usize {
        let mut depth = Depth { now: 0, deepest: 0, nodes: PhantomData };
        // It only counts, which does not fail.
        let _ = tree.visit(&mut depth);
        depth.deepest
    }
}

impl<'n, N: TreeNode> TreeNodeVisitor<'n> for Depth<N> {
    type Node = N;

    fn f_down(&mut self, _: &'n N) -> datafusion::common::Result<TreeNodeRecursion> {
        self.now += 1;
        self.deepest = self.deepest.max(self.now);
        Ok(TreeNodeRecursion::Continue)
    }

    fn f_up(&mut self, _: &'n N) -> datafusion::common::Result<TreeNodeRecursion> {
        self.now -= 1;
        Ok(TreeNodeRecursion::Continue)
    }
}

/// Runs `work` on a thread with a large stack, while the runtime of the caller does its I/O.
///
/// # Errors
/// Those of `work`; `Bug` when it panics; `Refused` when there is no thread for it.
#[expect(clippy::disallowed_methods, reason = "the caller waits for the thread: there is no order to repeat")]
pub(crate) async fn on_large_stack<T, F, W>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> W + Send + 'static,
    W: Future<Output = Result<T>>,
{
    let runtime = Handle::current();
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("plan".to_owned()).stack_size(PLANNING_STACK_BYTES);
    let run = move || {
        let outcome = unpanicked(|| runtime.block_on(work()));
        // Nobody listens when the query was dropped meanwhile.
        let _ = tell.send(outcome.unwrap_or_else(Err));
    };
    thread
        .spawn(run)
        .map_err(|e| Error::new(ErrorKind::Refused, "no thread can be started for the query").because(e))?;
    told.await.unwrap_or_else(|_| Err(Error::bug("the query was not answered: its planning ended without a word")))
}

/// Runs `work`; a panic becomes the error.
pub(crate) fn unpanicked<T>(work: impl FnOnce() -> T) -> Result<T> {
    // What a panic leaves half done belongs to the query, which ends with the error.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        Error::bug(format!("the query was not answered: the query engine panicked: {}", message(panic.as_ref())))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_says_so() {
        let error = unpanicked(|| panic!("at {}", 7)).map(|()| 0).expect_err("panicked");
        assert_eq!(error.kind(), ErrorKind::Bug);
        assert!(error.message().contains("not answered") && error.message().ends_with("at 7"), "{error}");
    }

    #[test]
    fn long_lists_pass_and_endless_chains_do_not() {
        let list: Vec<String> = (0..200_000).map(|i| format!("'{i}'")).collect();
        check_length(&format!("SELECT 1 WHERE 'x' IN ({})", list.join(","))).expect("a list");
        check_length(&format!("SELECT 1{}", "+1".repeat(MAX_WORDS))).expect_err("a chain");
    }
}
