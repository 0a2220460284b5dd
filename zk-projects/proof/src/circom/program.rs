//! One run of a program: its instance, what it may call, and numbers passed through its shared memory.

use ark_bn254::Fr;
use ark_ff::{BigInt, PrimeField};
use wasmi::errors::{ErrorKind, HostError, InstantiationError, LinkerError};
use wasmi::{
    Caller, Extern, Instance, Linker, Module, Store, StoreLimits, StoreLimitsBuilder, WasmParams,
    WasmResults,
};
use zeroize::Zeroize;

use super::{CircomError, Exception, Limits, WORDS, failed, number_of};

/// Characters that are kept of all messages together.
const MOST_CHARACTERS: usize = 1000;
/// Functions that a program may call by number; circom has one for each template.
const MOST_TABLE_ELEMENTS: usize = 1 << 20;
/// circom's number for a constraint or assertion that does not hold.
const ASSERTION_FAILED: i32 = 4;

/// What the program threw, on its way through the interpreter.
#[derive(Debug)]
pub(super) struct Thrown(pub(super) Exception);

impl std::fmt::Display for Thrown {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

impl HostError for Thrown {}

struct Host {
    limits: StoreLimits,
    message: String,
}

impl Host {
    fn is_full(&self) -> bool {
        self.message.len() >= MOST_CHARACTERS
    }
}

/// A program while it runs.
pub(super) struct Program {
    store: Store<Host>,
    instance: Instance,
    limits: Limits,
}

impl Program {
    /// Makes an instance with fresh memory.
    pub(super) fn start(module: &Module, limits: Limits) -> Result<Self, CircomError> {
        let host = Host {
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.memory_bytes)
                .memories(1)
                .table_elements(MOST_TABLE_ELEMENTS)
                .instances(1)
                .build(),
            message: String::new(),
        };
        let mut store = Store::new(module.engine(), host);
        store.limiter(|host| &mut host.limits);
        store.set_fuel(limits.steps).map_err(CircomError::Program)?;
        let linker = linker(module).map_err(|error| CircomError::Program(error.into()))?;
        let instance = linker.instantiate_and_start(&mut store, module);
        let instance = instance.map_err(|error| match error.kind() {
            ErrorKind::Instantiation(InstantiationError::FailedToInstantiateMemory(_)) => {
                CircomError::TooLarge(limits.memory_bytes)
            }
            _ => CircomError::Program(error),
        })?;
        Ok(Self {
            store,
            instance,
            limits,
        })
    }

    /// Calls one of the program's functions.
    pub(super) fn call<Params: WasmParams, Results: WasmResults>(
        &mut self,
        name: &str,
        params: Params,
    ) -> Result<Results, CircomError> {
        let function = self
            .instance
            .get_typed_func::<Params, Results>(&self.store, name)
            .map_err(CircomError::Program)?;
        function
            .call(&mut self.store, params)
            .map_err(|error| failed(error, self.limits, &self.store.data().message))
    }

    /// The number that the program left in its shared memory.
    pub(super) fn shared_number(&mut self) -> Result<BigInt<4>, CircomError> {
        let mut words = [0; WORDS];
        for (index, word) in (0_i32..).zip(&mut words) {
            let read: i32 = self.call("readSharedRWMemory", (index,))?;
            *word = read.cast_unsigned();
        }
        Ok(number_of(words))
    }

    /// Leaves a number there for the program.
    pub(super) fn set_shared_number(&mut self, number: Fr) -> Result<(), CircomError> {
        let limbs = number.into_bigint().0;
        let words = limbs
            .iter()
            .flat_map(|limb| [*limb as u32, (limb >> 32) as u32]);
        for (index, word) in (0_i32..).zip(words) {
            self.call::<_, ()>("writeSharedRWMemory", (index, word.cast_signed()))?;
        }
        Ok(())
    }

    /// Wipes its memory.
    pub(super) fn wipe(mut self) {
        if let Some(memory) = self.instance.get_memory(&self.store, "memory") {
            memory.data_mut(&mut self.store).zeroize();
        }
    }
}

/// What the program may call: it can stop with an exception and say where. What it logs is dropped.
fn linker(module: &Module) -> Result<Linker<Host>, LinkerError> {
    let mut linker = Linker::new(module.engine());
    linker.func_wrap("runtime", "exceptionHandler", |code: i32| {
        let exception = match code {
            ASSERTION_FAILED => Exception::AssertionFailed,
            code => Exception::Other(code),
        };
        Err::<(), _>(wasmi::Error::host(Thrown(exception)))
    })?;
    linker.func_wrap("runtime", "printErrorMessage", keep_message)?;
    linker.func_wrap("runtime", "writeBufferMessage", || {})?;
    linker.func_wrap("runtime", "showSharedRWMemory", || {})?;
    Ok(linker)
}

/// The program passes a message character by character, a zero at the end.
///
/// It may do so as often as it likes, and its limits do not count what is kept here: therefore the bound on all messages together. They are
/// shown to people, so that only what prints is kept.
fn keep_message(mut caller: Caller<'_, Host>) -> Result<(), wasmi::Error> {
    let Some(Extern::Func(next)) = caller.get_export("getMessageChar") else {
        return Ok(());
    };
    let next = next.typed::<(), i32>(&caller)?;
    for _ in 0..MOST_CHARACTERS {
        if caller.data().is_full() {
            return Ok(());
        }
        let character = next.call(&mut caller, ())?;
        let Some(character) = u8::try_from(character).ok().filter(|c| *c != 0) else {
            break;
        };
        if matches!(character, b' '..=b'~') {
            caller.data_mut().message.push(char::from(character));
        }
    }
    if !caller.data().is_full() {
        caller.data_mut().message.push('\n');
    }
    Ok(())
}
