//! The columns of a row of the op list.

/// Takes columns from a row of the op list: `columns!([callback] [column ...] row extra)` expands to
/// `callback! { extra value ... }`, each value one token, in the order asked for.
#[macro_export]
macro_rules! columns {
    ($callback:tt [$($column:ident)*] $row:tt $($extra:tt)*) => {
        $crate::__column! { $callback [$($column)*] $row $row $($extra)* }
    };
}

/// One step of [`columns!`]: looks at the first of the columns left of the row, for the first one still wanted.
#[doc(hidden)]
#[macro_export]
macro_rules! __column {
    ([$($callback:tt)*] [] $left:tt $row:tt $($done:tt)*) => { $($callback)*! { $($done)* } };

    ($to:tt [number $($more:tt)*] {number: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [class $($more:tt)*] {class: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [safety $($more:tt)*] {safety: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [inputs $($more:tt)*] {inputs: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [result $($more:tt)*] {result: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [outputs $($more:tt)*] {outputs: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [native $($more:tt)*] {native: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [fill $($more:tt)*] {fill: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [stack $($more:tt)*] {stack: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [since $($more:tt)*] {since: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [defer $($more:tt)*] {defer: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };
    ($to:tt [nop $($more:tt)*] {nop: $value:tt $($left:tt)*} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* $value } };

    ($to:tt $wanted:tt {$other:ident: $value:tt $(, $($left:tt)*)?} $row:tt $($done:tt)*) => {
        $crate::__column! { $to $wanted {$($($left)*)?} $row $($done)* }
    };

    ($to:tt [safety $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* [] } };
    ($to:tt [inputs $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* () } };
    ($to:tt [result $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* (()) } };
    ($to:tt [outputs $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* [] } };
    ($to:tt [native $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* "" } };
    ($to:tt [fill $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* 0x2e } };
    ($to:tt [stack $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* kernel } };
    ($to:tt [since $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* 0 } };
    ($to:tt [defer $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* never } };
    ($to:tt [nop $($more:tt)*] {} $row:tt $($done:tt)*) => { $crate::__column! { $to [$($more)*] $row $row $($done)* fits } };
    ($to:tt [$missing:ident $($more:tt)*] {} $row:tt $($done:tt)*) => {
        compile_error!(concat!("a row of the op list has no column `", stringify!($missing), "`"))
    };
}
