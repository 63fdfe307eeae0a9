// The program that the python3 child runs, in Python 3.7 or later: reads one JSON line for each record, runs the
// script of the step on it, answers with one line. It is text here so that the bundled commands need no file of it.
//
//   ← {"parent": 1, "steps": [{"script": …, "timeout": 30}]}       → {"ready": true} or {"broken": {"step": 0, …}}
//   ← [0, {…}]        the step, and the record's data               → {"data": {…}}, {"list": [{…}, {…}]}, {"drop": true},
//                                                                     or {"error": {"reason": …, "line": 3, "source": …}}
//
// Answers come in order, each as soon as it is there: when the process dies, the first without one is to blame.

export const PYTHON_PROGRAM = String.raw`
import sys
sys.path[:] = [folder for folder in sys.path if folder]  # nothing from the working directory
import builtins, json, os, re, signal, textwrap

requests = os.fdopen(os.dup(0), 'rb', buffering=1 << 16)
answers = os.fdopen(os.dup(1), 'wb', buffering=0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)  # what scripts and their children print goes to the log
sys.stdout = sys.stderr
# When to stop is the parent's to say. They are not ignored, because programs would inherit that.
numbers = [getattr(signal, name) for name in ('SIGINT', 'SIGTERM', 'SIGHUP') if hasattr(signal, name)]
kept = {number: signal.signal(number, lambda number, frame: None) for number in numbers}
in_fork = False  # a script has forked, and this is the child


def forked():
    global in_fork
    in_fork = True
    for number, handler in kept.items():  # whoever forked may end it
        signal.signal(number, handler)
    held_back(False)


def held_back(yes):
    signal.pthread_sigmask(signal.SIG_BLOCK if yes else signal.SIG_UNBLOCK, numbers)


if hasattr(os, 'register_at_fork'):
    os.register_at_fork(
        before=lambda: held_back(True), after_in_parent=lambda: held_back(False), after_in_child=forked)
if hasattr(sys, 'set_int_max_str_digits'):
    sys.set_int_max_str_digits(0)
sys.setrecursionlimit(6000)


class ExactFloat(float):
    """A number whose text is not the one that Python would print."""


class ExactInt(int):
    """The same for -0."""


class TimeOver(BaseException):
    pass


class NeedsExact(Exception):
    pass


inexact = False  # whether the record at hand has such numbers


def parse_float(text):
    global inexact
    number = float(text)
    if repr(number) == text:
        return number
    inexact = True
    number = ExactFloat(number)
    number.text = text
    return number


def parse_int(text):
    global inexact
    number = int(text)
    if number != 0 or text == '0':
        return number
    inexact = True
    number = ExactInt(number)
    number.text = text
    return number


plain = json.JSONDecoder(parse_float=parse_float)
with_minus_zero = json.JSONDecoder(parse_float=parse_float, parse_int=parse_int)


def is_decimal(value):
    module = sys.modules.get('decimal')
    return module is not None and isinstance(value, module.Decimal)


def other(value):
    if is_decimal(value):
        raise NeedsExact
    raise TypeError(f'{type(value).__name__} is not JSON')


encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(',', ':'), default=other).encode
string = json.encoder.encode_basestring


def encode_exactly(value):
    parts = []
    put = parts.append

    def one(value):
        if isinstance(value, str):
            put(string(value))
        elif value is None:
            put('null')
        elif value is True or value is False:
            put('true' if value else 'false')
        elif isinstance(value, (ExactFloat, ExactInt)):
            put(value.text)
        elif isinstance(value, int):
            put(int.__repr__(value))
        elif isinstance(value, float):
            put(finite(value))
        elif isinstance(value, dict):
            mark = '{'
            for key, inner in value.items():
                put(mark)
                put(string(key_of(key)))
                put(':')
                one(inner)
                mark = ','
            put('{}' if mark == '{' else '}')
        elif isinstance(value, (list, tuple)):
            mark = '['
            for inner in value:
                put(mark)
                one(inner)
                mark = ','
            put('[]' if mark == '[' else ']')
        elif is_decimal(value):
            if not value.is_finite():
                raise ValueError(f'{value} is not JSON')
            put(str(value))
        else:
            other(value)

    one(value)
    return ''.join(parts)


def finite(value):
    if value != value or value in (float('inf'), float('-inf')):
        raise ValueError(f'{value} is not JSON')
    return float.__repr__(value)


def key_of(key):
    if isinstance(key, str):
        return key
    if key is None:
        return 'null'
    if isinstance(key, bool):
        return 'true' if key else 'false'
    if isinstance(key, int):
        return int.__repr__(key)
    if isinstance(key, float):
        return finite(key)
    raise TypeError(f'keys must be text, got {type(key).__name__}')


def dumps(value):
    if not inexact:
        try:
            return encode(value)
        except NeedsExact:
            pass
        except ValueError as error:
            if 'JSON compliant' in str(error):
                raise ValueError('NaN and Infinity are not JSON') from None
            raise
    return encode_exactly(value)


def to_bytes(text):
    try:
        return text.encode('utf-8')
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON text has as an escape
        return re.sub('[\ud800-\udfff]', lambda found: '\\u%04x' % ord(found.group()), text).encode('utf-8')


def answer_for(value):
    if isinstance(value, dict):
        return b'{"data":' + to_bytes(dumps(value)) + b'}\n'
    if value is None:
        return b'{"drop":true}\n'
    what = f'a {type(value).__name__}'
    if isinstance(value, list):
        if all(isinstance(item, dict) for item in value):
            return b'{"list":' + to_bytes(dumps(value)) + b'}\n'
        what = 'a list with ' + next(f'a {type(item).__name__}' for item in value if not isinstance(item, dict))
    raise TypeError(f'data is {what}; a record is a dict, None drops it, a list of dicts makes several')


def place_of(error, file):
    if isinstance(error, SyntaxError) and error.filename == file:
        return error.lineno
    line = None
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename == file:
            line = frame.tb_lineno
        frame = frame.tb_next
    return line


def text_of(error):
    try:
        return str(error)
    except Exception:
        return ''


def failure(error, script, file):
    text = text_of(error)
    reason = f'{type(error).__name__}: {text}' if text else type(error).__name__
    if isinstance(error, SyntaxError):
        reason = f'{type(error).__name__}: {error.msg}'
    line = place_of(error, file)
    lines = script.split('\n')
    source = lines[line - 1] if line is not None and 0 < line <= len(lines) else None
    return {'reason': reason, 'line': line, 'source': source}


def send(what):
    answers.write(to_bytes(json.dumps(what, ensure_ascii=False)) + b'\n')


def time_over(number, frame):
    raise TimeOver


def limit(seconds):
    if hasattr(signal, 'setitimer'):
        # Again every second: a script may catch everything.
        signal.setitimer(signal.ITIMER_REAL, seconds, 1 if seconds else 0)


def die_with(parent):
    if sys.platform == 'linux':
        try:
            import ctypes
            ctypes.CDLL(None).prctl(1, 9)
        except Exception:
            pass  # then the end of the input does it, once the script returns
        if os.getppid() == 1 and parent != 1:
            os._exit(0)


def compiled(steps):
    codes = []
    for at, step in enumerate(steps):
        file = f'<transform {at}>'
        script = textwrap.dedent(step['script'])
        try:
            codes.append((compile(script, file, 'exec', dont_inherit=True), script, file, step['timeout']))
        except (SyntaxError, ValueError) as error:
            send({'broken': {'step': at, **failure(error, script, file)}})
            return None
    return codes


def run(code, script, file, timeout, data):
    # One scope, new for each record: nothing of one record is left for the next.
    scope = {'__name__': '__transform__', '__builtins__': builtins, 'data': data}
    try:
        try:
            limit(timeout)
            exec(code, scope)
            if 'data' not in scope:
                raise NameError('data was deleted')
            return answer_for(scope['data'])
        finally:
            limit(0)
    except TimeOver:
        return to_bytes(json.dumps({'error': {'reason': f'it took longer than {timeout} s'}})) + b'\n'
    except BaseException as error:
        return to_bytes(json.dumps({'error': failure(error, script, file)}, ensure_ascii=False)) + b'\n'


def main():
    global inexact
    settings = json.loads(requests.readline())
    die_with(settings['parent'])
    codes = compiled(settings['steps'])
    if codes is None:
        return
    if hasattr(signal, 'SIGALRM'):
        signal.signal(signal.SIGALRM, time_over)
    send({'ready': True})
    for request in requests:
        inexact = False
        decoder = with_minus_zero if b'-0' in request else plain
        step, data = decoder.decode(request.decode('utf-8'))
        answer = run(*codes[step], data)
        if in_fork:  # the process that forked answers
            break
        while answer:
            answer = answer[answers.write(answer):]


try:
    main()
except BrokenPipeError:
    pass
sys.stderr.flush()
os._exit(0)  # whatever threads a script has left
`
