//! What the commands of most operations do alike: show what it would do, or run it and show its answer.

use orocloud_protocol::{Call, Plan};

use super::{Context, Finished};
use crate::cli::{OperationArgs, duration};
use crate::commands::Outcome;
use crate::output::{Format, Ui, escape};

/// Runs an operation and shows its answer, to people by `show`; or shows what it would do.
pub fn carry_out<C: Call>(
    context: &mut Context,
    params: &C::Params,
    operation: &OperationArgs,
    show: impl FnOnce(&mut Ui, &C::Answer) -> std::io::Result<()>,
) -> Outcome {
    if operation.dry_run {
        return show_dry_run::<C>(context, params);
    }
    match context.operation::<C>(params, operation)? {
        Finished::Detached => Ok(0),
        Finished::Answer(answer, took) => {
            match context.ui.format {
                Format::Json => context.ui.json(&answer)?,
                _ => show(&mut context.ui, &answer)?,
            }
            Ok(context.succeeded(took))
        }
    }
}

/// Shows what an operation would do.
pub fn show_dry_run<C: Call>(context: &mut Context, params: &C::Params) -> Outcome {
    let plan = context.plan::<C>(params)?;
    if context.ui.format == Format::Json {
        context.ui.json(&plan)?;
        return Ok(0);
    }
    show_steps(&mut context.ui, &plan)?;
    context.ui.show_plan(&plan);
    context.ui.note("This was a dry run: nothing was changed.");
    Ok(0)
}

fn show_steps(ui: &mut Ui, plan: &Plan) -> std::io::Result<()> {
    for step in &plan.steps {
        let mark = if step.point_of_no_return { "  ← from here on it is finished, not undone" } else { "" };
        let usual =
            step.usual_ms.map_or_else(String::new, |usual| format!("  usually {}", duration::took(usual)));
        ui.line(&format!("{} [{}]{usual}{mark}", escape::strip(&step.step), step.node))?;
    }
    Ok(())
}
