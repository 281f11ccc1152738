"""Runs a command in a terminal and draws what appears as an animated SVG: record.py PICTURE COMMAND...

Each change of the screen is a frame, once the terminal is quiet for QUIET, so that no frame shows half a redraw. A
frame is shown as long as it was in the terminal, but not longer than LONGEST.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time
from html import escape

import pyte

COLUMNS, ROWS = 110, 30
# seconds
INTERVAL, QUIET, LONGEST, LAST = 0.2, 0.03, 0.6, 8.0
WIDTH, HEIGHT = 8.0, 18.0
BACKGROUND, FOREGROUND = "#1e2127", "#d8dee9"
COLOURS = {
    "black": "#5c6370", "red": "#e06c75", "green": "#98c379", "brown": "#e5c07b",
    "blue": "#61afef", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#ffffff",
}


def screen_lines(screen):
    """The lines of the screen as runs of (text, colour, bold)."""
    lines = []
    for y in range(ROWS):
        runs = []
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            style = (COLOURS.get(cell.fg.replace("bright", ""), FOREGROUND), cell.bold)
            if runs and runs[-1][1:] == style:
                runs[-1] = (runs[-1][0] + cell.data, *style)
            else:
                runs.append((cell.data, *style))
        text, *style = runs[-1]
        runs[-1] = (text.rstrip(), *style)
        lines.append(tuple(run for run in runs if run[0]))
    return tuple(lines)


def record(command):
    """Frames as (lines, seconds), and the exit status of the command."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    frames, changed_at = [], time.monotonic()
    sampled_at = 0.0
    ended = False
    while not ended:
        ready, _, _ = select.select([terminal], [], [], QUIET)
        if ready:
            try:
                data = os.read(terminal, 65536)
            except OSError:  # the other end is closed
                data = b""
            ended = not data
            stream.feed(data)
        now = time.monotonic()
        if not ended and (ready or now - sampled_at < INTERVAL):
            continue
        sampled_at = now
        lines = screen_lines(screen)
        if not frames or lines != frames[-1][0]:
            if frames:
                frames[-1][1] = min(now - changed_at, LONGEST)
            frames.append([lines, 0.0])
            changed_at = now
    frames[-1][1] = LAST
    _, status = os.waitpid(child, 0)
    return frames, os.waitstatus_to_exitcode(status)


def without_spinning(frames):
    """Joins frames in which only the progress lines changed within a second, so that the file stays small."""
    shown = []
    for lines, seconds in frames:
        differing = sum(a != b for a, b in zip(shown[-1][0], lines)) if shown else ROWS
        if differing <= 2 and shown[-1][1] + seconds < LONGEST:
            shown[-1] = [lines, shown[-1][1] + seconds]
        else:
            shown.append([lines, seconds])
    return shown


def picture(frames):
    """The SVG. A line that is in many frames is written once."""
    known = {}
    width, height = COLUMNS * WIDTH + 24, ROWS * HEIGHT + 24
    total = sum(seconds for _, seconds in frames)
    drawn, began = [], 0.0
    for lines, seconds in frames:
        uses = []
        for y, line in enumerate(lines):
            if line:
                name = known.setdefault(line, f"l{len(known)}")
                uses.append(f'<use href="#{name}" y="{y * HEIGHT:g}"/>')
        end = began + seconds
        times = f"0;{began / total:.5f};{min(end / total, 1):.5f}"
        values = "none;inline;none" if end < total - 0.001 else "none;inline;inline"
        # a viewer without animation shows the last frame
        display = "inline" if lines is frames[-1][0] else "none"
        drawn.append(
            f'<g display="{display}">{"".join(uses)}'
            f'<animate attributeName="display" values="{values}" keyTimes="{times}"'
            f' dur="{total:.1f}s" calcMode="discrete" repeatCount="indefinite"/></g>'
        )
        began = end
    definitions = []
    for line, name in known.items():
        spans = ""
        for text, colour, bold in line:
            weight = ' font-weight="bold"' if bold else ""
            text = text.replace(f"{os.getcwd()}/", "")
            spans += f'<tspan fill="{colour}"{weight}>{escape(text)}</tspan>'
        definitions.append(f'<text id="{name}">{spans}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xml:space="preserve" viewBox="0 0 {width:g} {height:g}" role="img"'
        f' aria-label="The commands of make demo and their output">'
        f"<style>text{{font:13.3px 'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre;"
        f"fill:{FOREGROUND}}}</style>"
        f'<defs>{"".join(definitions)}</defs>'
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>'
        f'<g transform="translate(12 24)">{"".join(drawn)}</g></svg>\n'
    )


def main():
    target, *command = sys.argv[1:]
    frames, status = record(command)
    if status != 0:
        for line in frames[-1][0]:
            print("".join(run[0] for run in line), file=sys.stderr)
        sys.exit(f"error: {' '.join(command)}: exit status {status}")
    with open(target, "w") as file:
        file.write(picture(without_spinning(frames)))
    print(f"{target}: {len(frames)} frames, {os.path.getsize(target) // 1000} kB")


main()
