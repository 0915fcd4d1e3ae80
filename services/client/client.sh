# What a client container does:
#   udp [...], tcp [...]   one of the lecture's clients, with its arguments
#   stream udp|tcp [...]   numbered messages at a rate, for experiments
#   crowd udp|tcp [...]    many clients at once: how long does each wait?
#   bulk [...]             as fast as TCP lets it, with a look at its congestion window
#   remote                 socket calls one by one, as somebody outside says (lab/remote.py)
#   conversation           the lines of conversation.txt, by each protocol that the server speaks (the default)
set -eu

case "${1-conversation}" in
udp | tcp)
    program="${1}_client.py"
    shift
    exec python3 "$program" "$@"
    ;;
stream | bulk | crowd)
    program="$1.py"
    shift
    exec python3 "$program" "$@"
    ;;
remote)
    exec python3 -m lab.remote
    ;;
conversation)
    case "${SERVER_PROGRAM-server}" in
    udp_server) protocols=udp ;;
    tcp_server) protocols=tcp ;;
    idle) protocols= ;;
    *) protocols='udp tcp' ;;
    esac
    for protocol in $protocols; do
        python3 "${protocol}_client.py" <conversation.txt
    done
    ;;
*)
    echo "client: expected udp, tcp, stream, bulk, crowd, remote or conversation, got '$1'" >&2
    exit 2
    ;;
esac
