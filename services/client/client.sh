# What a client container does:
#   udp [...], tcp [...]   one of the lecture's clients, with its arguments
#   stream udp|tcp [...]   numbered messages at a rate, for experiments
#   crowd udp|tcp [...]    many clients at once: how long does each wait?
#   bulk [...]             as fast as TCP lets it, with a look at its congestion window
#   remote                 socket calls one by one, as somebody outside says (lab/remote.py)
#   conversation           the lines of conversation.txt, by each protocol that the host serves (the default);
#                          ends with the code of the first client that did not get every answer
set -eu

case "${1-conversation}" in
udp | tcp)
    program="${1}_client.py"
    shift
    exec python3 "$program" "$@"
    ;;
stream | bulk | crowd)
    program="experiments/$1.py"
    shift
    exec python3 "$program" "$@"
    ;;
remote)
    exec python3 -m lab.remote
    ;;
conversation)
    case "${SERVER_PROGRAM-lecture}" in
    idle) protocols= ;;
    *) protocols='udp tcp' ;;
    esac
    code=0
    for protocol in $protocols; do
        ended=0
        python3 "${protocol}_client.py" <conversation.txt || ended=$?
        case $ended in
        0) ;;
        # What one protocol has lost, or could not reach, says nothing about the other: both are shown.
        1 | 3) [ "$code" -ne 0 ] || code=$ended ;;
        *) exit "$ended" ;; # a signal; or what is as wrong for the other
        esac
    done
    exit "$code"
    ;;
*)
    echo "client: expected udp, tcp, stream, bulk, crowd, remote or conversation, got '$1'" >&2
    exit 2
    ;;
esac
