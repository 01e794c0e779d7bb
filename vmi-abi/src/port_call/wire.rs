//! Structures that lie in memory both sides see.

/// A field of such a structure: an integer, or an array of them that is zero.
pub(super) trait Field: Sized {
    /// Reads the field from its first byte on.
    fn get(bytes: &[u8]) -> Self;
    /// Writes the field from its first byte on.
    fn put(&self, bytes: &mut [u8]);
}

macro_rules! integers {
    ($($type:ty)*) => { $(
        impl Field for $type {
            fn get(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<Self>()];
                own.copy_from_slice(&bytes[..size_of::<Self>()]);
                Self::from_le_bytes(own)
            }

            fn put(&self, bytes: &mut [u8]) {
                bytes[..size_of::<Self>()].copy_from_slice(&self.to_le_bytes());
            }
        }
    )* };
}
integers!(u32 u64);

impl<T: Field, const N: usize> Field for [T; N] {
    fn get(bytes: &[u8]) -> Self {
        core::array::from_fn(|at| T::get(&bytes[at * size_of::<T>()..]))
    }

    fn put(&self, bytes: &mut [u8]) {
        for (item, place) in self.iter().zip(bytes.chunks_exact_mut(size_of::<T>())) {
            item.put(place);
        }
    }
}

/// Declares a structure by size and offsets, which are asserted, with its way from and to bytes.
macro_rules! wire {
    ($(#[$doc:meta])* $Name:ident $size:literal { $( $(#[$field_doc:meta])* $offset:literal $field:ident: $type:ty, )* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(C)]
        pub struct $Name { $( $(#[$field_doc])* pub $field: $type, )* }

        const _: () = {
            assert!(size_of::<$Name>() == $size);
            $( assert!(core::mem::offset_of!($Name, $field) == $offset); )*
            // No padding without a name.
            assert!($( size_of::<$type>() + )* 0 == $size);
        };

        impl $Name {
            /// Reads the structure from a copy of its bytes; every pattern is one.
            pub fn from_bytes(bytes: &[u8; $size]) -> Self {
                Self { $( $field: $crate::port_call::wire::Field::get(&bytes[$offset..]), )* }
            }

            /// Returns the structure's bytes.
            pub fn to_bytes(&self) -> [u8; $size] {
                let mut bytes = [0; $size];
                $( $crate::port_call::wire::Field::put(&self.$field, &mut bytes[$offset..]); )*
                bytes
            }
        }
    };
}
pub(super) use wire;
