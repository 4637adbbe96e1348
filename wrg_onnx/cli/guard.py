"""Where the program begins and ends: whatever goes wrong is one line and an exit code.

It imports nothing that takes long, since Ctrl-C is heard from here on.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from importlib.machinery import ExtensionFileLoader
from types import FrameType

from wrg_onnx.cli.streams import take_streams
from wrg_onnx.errors import WrgError, spoken

FAULT = 70
"""The exit code of what nobody expected: EX_SOFTWARE of sysexits.h."""

SIGNALLED = 128
"""What shells add to the number of a signal that ended a program."""

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What asks a program to end: a batch system, a container, a terminal that was closed."""

COMPLETION = "_WRG_ONNX_COMPLETE"
"""The environment variable by which a shell asks how a line may go on."""

WAIT_S, MOST_WAITS = 0.05, 100
"""How long, and how often, Ctrl-C waits for a library in C to be imported."""


def run() -> int:
    """Run the command line in this process.

    Returns:
        The exit code: that of the command or of its error, 70 for a fault; 128 and the number of
        the signal that ended it, 130 for Ctrl-C.
    """
    interrupts, code = _Interrupts(), FAULT
    try:
        interrupts.listen()
        take_streams()
        code = _run_command()
    except KeyboardInterrupt:
        interrupts.came = interrupts.came or signal.SIGINT
    except BaseException as error:  # noqa: BLE001 - what is not told here is told nowhere
        interrupts.stop()
        if not interrupts.came:
            code = _tell(error)
    interrupts.stop()
    if interrupts.came and code:
        # Also where a library made another error of it.
        code = SIGNALLED + interrupts.came
        sys.stderr.write(f"{interrupts.name}.\n")
    sys.stdout = sys.stderr  # what modules of the user print at their end is no result
    return code


def _run_command() -> int:
    import click

    from wrg_onnx.cli.app import main

    try:
        code = main.main(standalone_mode=False, complete_var=COMPLETION)
    except SystemExit:
        if os.environ.get(COMPLETION):
            return 0  # click has answered a shell that completes a line
        raise
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise error.__cause__ or error from None
    return code if isinstance(code, int) else 0


def _tell(error: BaseException) -> int:
    """Say what ended the program, and return its exit code."""
    from wrg_onnx.cli.faults import fault_line

    if isinstance(error, WrgError):
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    if isinstance(error, MemoryError):
        sys.stderr.write("Error: out of memory\n")
        return WrgError.exit_code
    try:
        line = fault_line(error)
    except Exception as again:  # noqa: BLE001 - behind the last resort there is none
        line = f"Error: {spoken(error)}; its details are lost: {spoken(again)}"
    sys.stderr.write(f"{line}\n")
    return FAULT


class _Interrupts:
    """Ctrl-C and what else ends a program, remembered: if libraries catch it, it is not lost.

    All of them raise what Ctrl-C does, so that what is half written is removed on the way out.

    Attributes:
        came: The signal that came; 0 for none.
    """

    def __init__(self) -> None:
        self.came = 0
        self._waits = 0
        self._heard: tuple[signal.Signals, ...] = ()

    @property
    def name(self) -> str:
        """What ended the program, in words."""
        known = signal.Signals(self.came)
        return "Interrupted" if known is signal.SIGINT else f"Ended by {known.name}"

    def listen(self) -> None:
        """Hear them from now on, unless whoever started the program has them ignored."""
        usual = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDING, signal.SIG_DFL)}
        self._heard = tuple(one for one, how in usual.items() if signal.getsignal(one) is how)
        for one in self._heard:
            signal.signal(one, self._raise)
        sys.unraisablehook = self._take_up

    def stop(self) -> None:
        """Let another one end the program at once: there is nothing left to put away."""
        for one in self._heard:
            signal.signal(one, signal.SIG_DFL)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.came = self.came or number
        if self._waits < MOST_WAITS and _is_loading(frame):
            # Some of them crash if anything is raised while they set themselves up.
            self._waits += 1
            _thread.start_new_thread(_interrupt_soon, (signal.Signals(number),))
            return
        raise KeyboardInterrupt

    def _take_up(self, lost: sys.UnraisableHookArgs) -> None:
        """Take up what was raised where Python cannot, such as in a finaliser."""
        if isinstance(lost.exc_value, KeyboardInterrupt):
            _thread.start_new_thread(_interrupt_soon, (signal.Signals(self.came or signal.SIGINT),))
        elif lost.exc_value is not None:
            from wrg_onnx.cli.faults import note_line

            sys.stderr.write(f"{note_line(lost.exc_value)}\n")


def _is_loading(frame: FrameType | None) -> bool:
    """Tell whether a library in C is being imported."""
    while frame is not None:
        if isinstance(frame.f_locals.get("self"), ExtensionFileLoader):
            return True
        frame = frame.f_back
    return False


def _interrupt_soon(number: signal.Signals) -> None:
    """Raise it once more, where the program is by then."""
    time.sleep(WAIT_S)
    _thread.interrupt_main(number)
