//! Regular expressions that mean the same here and in RE2: a list of what is taken, and everything else is refused.
//! `\d`, `\w` and `\s` are ASCII in RE2 and all of Unicode here, so they are written out.

use regex::{Regex, RegexBuilder};
use regex_syntax::ast::{self, Ast, ClassPerlKind, ClassSetItem, Flag, FlagsItemKind, LiteralKind, RepetitionKind, RepetitionRange, Visitor, parse::ParserBuilder};

/// The most bytes of a compiled pattern. What does not fit is refused.
const MAX_COMPILED: usize = 128 * 1024;
/// RE2's own limit.
const MAX_REPEAT: u32 = 1000;

/// Compiles a pattern, or says what of it is not taken.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let ast = ParserBuilder::new().nest_limit(20).build().parse(pattern).map_err(|e| e.kind().to_string())?;
    let written = ast::visit(&ast, Reader { pattern, replaced: Vec::new() })?;
    RegexBuilder::new(&written).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).nest_limit(40).build().map_err(|_| "it is too large or not understood".to_owned())
}

/// Walks the pattern and notes what is to be written otherwise.
struct Reader<'p> {
    pattern: &'p str,
    replaced: Vec<(ast::Span, &'static str)>,
}

impl Reader<'_> {
    fn perl(&mut self, class: &ast::ClassPerl, inside: bool) -> Result<(), String> {
        if class.negated {
            return Err("a negated class such as \\D is not taken; write [^0-9]".to_owned());
        }
        let text = match (&class.kind, inside) {
            (ClassPerlKind::Digit, true) => "0-9",
            (ClassPerlKind::Digit, false) => "[0-9]",
            (ClassPerlKind::Space, true) => r"\t\n\x0C\r ",
            (ClassPerlKind::Space, false) => r"[\t\n\x0C\r ]",
            (ClassPerlKind::Word, true) => "0-9A-Za-z_",
            (ClassPerlKind::Word, false) => "[0-9A-Za-z_]",
        };
        self.replaced.push((class.span, text));
        Ok(())
    }
}

fn literal(literal: &ast::Literal) -> Result<(), String> {
    match literal.kind {
        LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous | LiteralKind::HexFixed(ast::HexLiteralKind::X) => Ok(()),
        LiteralKind::Special(ref kind) if *kind != ast::SpecialLiteralKind::Space => Ok(()),
        _ => Err("this escape is not taken".to_owned()),
    }
}

fn flags(flags: &ast::Flags) -> Result<(), String> {
    let plain =
        |kind: &FlagsItemKind| matches!(kind, FlagsItemKind::Negation | FlagsItemKind::Flag(Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed | Flag::CaseInsensitive));
    if flags.items.iter().all(|item| plain(&item.kind)) { Ok(()) } else { Err("this flag is not taken".to_owned()) }
}

impl Visitor for Reader<'_> {
    type Output = String;
    type Err = String;

    fn finish(mut self) -> Result<String, String> {
        self.replaced.sort_by_key(|(span, _)| span.start.offset);
        let (mut out, mut from) = (String::new(), 0);
        for (span, text) in self.replaced {
            out.push_str(&self.pattern[from..span.start.offset]);
            out.push_str(text);
            from = span.end.offset;
        }
        out.push_str(&self.pattern[from..]);
        Ok(out)
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), String> {
        match ast {
            Ast::Empty(_) | Ast::Dot(_) | Ast::Alternation(_) | Ast::Concat(_) | Ast::ClassBracketed(_) => Ok(()),
            Ast::Literal(l) => literal(l),
            Ast::Flags(set) => flags(&set.flags),
            Ast::Group(group) => match &group.kind {
                ast::GroupKind::NonCapturing(set) => flags(set),
                ast::GroupKind::CaptureIndex(_) | ast::GroupKind::CaptureName { .. } => Ok(()),
            },
            Ast::Assertion(assertion) => match assertion.kind {
                ast::AssertionKind::StartLine | ast::AssertionKind::EndLine | ast::AssertionKind::StartText | ast::AssertionKind::EndText => Ok(()),
                _ => Err("word boundaries are not taken".to_owned()),
            },
            Ast::Repetition(repetition) if matches!(*repetition.ast, Ast::Repetition(_)) => Err("a repetition of a repetition is not taken".to_owned()),
            Ast::Repetition(repetition) => match &repetition.op.kind {
                RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => Ok(()),
                RepetitionKind::Range(range) => {
                    let most = match range {
                        RepetitionRange::Exactly(n) | RepetitionRange::AtLeast(n) | RepetitionRange::Bounded(_, n) => *n,
                    };
                    if most <= MAX_REPEAT { Ok(()) } else { Err(format!("at most {MAX_REPEAT} repetitions are taken")) }
                }
            },
            Ast::ClassPerl(class) => self.perl(class, false),
            Ast::ClassUnicode(_) => Err("Unicode classes are not taken".to_owned()),
        }
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), String> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) | ClassSetItem::Union(_) => Ok(()),
            ClassSetItem::Literal(l) => literal(l),
            ClassSetItem::Range(range) => literal(&range.start).and_then(|()| literal(&range.end)),
            ClassSetItem::Perl(class) => self.perl(class, true),
            ClassSetItem::Bracketed(_) => Err("a class within a class is not taken".to_owned()),
            ClassSetItem::Unicode(_) => Err("Unicode classes are not taken".to_owned()),
        }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ast::ClassSetBinaryOp) -> Result<(), String> {
        Err("a class of classes is not taken".to_owned())
    }
}
