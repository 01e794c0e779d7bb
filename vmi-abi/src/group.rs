//! The group traits: what bare metal and mocks implement.

// UNSAFETY: declares the unsafe methods of the group traits; holds no unsafe block.
#![expect(unsafe_code)]

macro_rules! define {
    ([] $( $(#[doc = $group_doc:literal])* $group:ident $Group:ident {
        $( $(#[doc = $doc:literal])* $name:ident $row:tt )*
    } )*) => { $(
        $( #[doc = $group_doc] )*
        ///
        /// One method an op, with plain integers. Jumps have none: control would not come back from it.
        pub trait $Group {
            $( crate::columns!([method] [class safety inputs result] $row $name [$($doc)*]); )*
        }
    )* };
}

macro_rules! method {
    ($name:ident $doc:tt jump $($rest:tt)*) => {};
    ($name:ident [$($doc:literal)*] $class:ident [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        $( #[doc = $doc] )*
        $($unsafe)? fn $name($($input: $type),*) -> $result;
    };
}

crate::ops!([define]);

/// Returns the [`Replacements`](crate::Replacements) that serve every op with a method by the group traits of a type.
#[macro_export]
macro_rules! replacements_of {
    ($type:ty) => {
        $crate::ops!([$crate::__replacements_of] $type)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __replacements_of {
    ([$implementer:ty] $( $(#[$group_doc:meta])* $group:ident $Group:ident {
        $( $(#[$doc:meta])* $name:ident $row:tt )*
    } )*) => {{
        let mut all = $crate::Replacements::KEEP;
        $( $(
            $crate::columns!([$crate::__replace_by] [class stack safety inputs result] $row all [$implementer] $group $Group $name);
        )* )*
        all
    }};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __replace_by {
    ($all:ident $implementer:tt $group:ident $Group:ident $name:ident jump $($rest:tt)*) => {};
    ($all:ident $implementer:tt $group:ident $Group:ident $name:ident $class:ident any $($rest:tt)*) => {};
    ($all:ident [$implementer:ty] $group:ident $Group:ident $name:ident
        call kernel [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {{
        $($unsafe)? extern "sysv64" fn function($($input: $type),*) -> $result {
            $($unsafe)? { <$implementer as $crate::$Group>::$name($($input),*) }
        }
        $all.set::<$crate::$group::$name>($crate::Override::Call(function));
    }};
    ($all:ident [$implementer:ty] $group:ident $Group:ident $name:ident
        $class:ident kernel [$($unsafe:tt)?] ($($input:ident: $type:ty = $places:tt),*) ($result:ty)) => {
        $all.set::<$crate::$group::$name>($crate::leaf!($group::$name, |$($input),*| $($unsafe)? {
            <$implementer as $crate::$Group>::$name($($input),*)
        }));
    };
}
