# Bash completion for reeve(1), reeve-worker(1) and reeve-broker(8); each of the three installed files
# is this one. It needs nothing of the package bash-completion, which finds it there.
#
# An option that takes a value has "=" behind it. tests/check/test_completion.py compares with --help.

# In `cur` the word under the cursor, and in `of` the option whose value it may be; bash takes "=" for
# a word of its own.
_reeve_words() {
    cur=${COMP_WORDS[COMP_CWORD]}
    of=${COMP_WORDS[COMP_CWORD - 1]}
    if [[ $cur == = ]]; then
        cur=
    elif [[ $of == = ]]; then
        of=${COMP_WORDS[COMP_CWORD - 2]}
    fi
}

_reeve_files() { # KIND of compgen
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "$1" -- "$cur")
}

_reeve_choose() { # WORDS
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$cur")
}

# A value of this option, as far as one can be guessed.
_reeve_value() { # OPTION
    case $1 in
    --config | --db | --file | --broker-program | --worker-program) _reeve_files -f ;;
    --dir) _reeve_files -d ;;
    --log-to)
        _reeve_files -f
        local files=("${COMPREPLY[@]}")
        _reeve_choose "stderr journal"
        COMPREPLY+=("${files[@]}")
        ;;
    --log-format) _reeve_choose "auto text json" ;;
    --log-level) _reeve_choose "debug info warn error" ;;
    --http) _reeve_choose off ;;
    --format) _reeve_choose "nagios text json prometheus" ;;
    --sort) _reeve_choose "waiting rate age name" ;;
    *) COMPREPLY=() ;;
    esac
}

_reeve_complete() { # OPTIONS [OPERANDS]
    if [[ " $1 " == *" $of= "* ]]; then
        _reeve_value "$of"
    elif [[ $cur == -* ]]; then
        _reeve_choose "${1//=/}"
    else
        _reeve_choose "${2-}"
    fi
}

_reeve() {
    local verbs="submit status explain wait result cancel queues workers dead check top selftest bench help"
    local common="--broker= --connect-timeout= --json -h --help --version"
    local cur of verb= operands= options= word
    _reeve_words
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -z $verb && " $verbs " == *" $word "* ]]; then
            verb=$word
        elif [[ -n $verb && $word =~ ^[a-z] && -z $operands ]]; then
            operands=$word # the first one that was given
        fi
    done
    case $verb in
    '') operands=$verbs ;;
    submit)
        options="--queue= --args= --kwargs= --headers= --id= --max-retries= --timeout= --delay= --run-at=
            --expires-at= --backoff= --priority= --origin= --wait --wait-timeout= --file= --batch="
        operands=
        ;;
    wait) options=--timeout= operands= ;;
    dead)
        options="--queue= --all --limit= --yes"
        [[ $operands =~ ^(list|show|retry|purge)$ ]] && operands= || operands="list show retry purge"
        ;;
    check)
        options="--queue= --max-waiting= --max-age= --min-workers= --max-dead= --format="
        operands=
        ;;
    top) options="--interval= --sort= --batch --once --iterations=" operands= ;;
    selftest)
        options="--duration= --seed= --rate= --dir= --keep --broker-program= --worker-program="
        common="--json -h --help --version"
        operands=
        ;;
    bench)
        options="--mode= --tasks= --outstanding= --batch= --size= --producers= --consumers= --prefetch= --queues= --rate= --ids="
        operands=
        ;;
    help) common= operands=$verbs ;;
    *) operands= ;;
    esac
    _reeve_complete "${options//$'\n'/ } $common" "$operands"
}

_reeve_broker() {
    local cur of
    _reeve_words
    _reeve_complete "--config= --bind= --db= --http= --log-format= --log-level= --log-to= --restored --check-config --help --version"
}

_reeve_worker() {
    local cur of word
    _reeve_words
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ $word == -- ]]; then # the command, then its arguments
            [[ $of == -- ]] && _reeve_files -c || _reeve_files -f
            return
        fi
    done
    _reeve_complete "-b= --broker= -q= --queue= -t= --task= -c= --concurrency= --prefetch= --max-output= --kill-after= --drain-timeout= --name= --http= --log-format= --log-level= --log-to= --help --version"
}

complete -F _reeve reeve
complete -F _reeve_broker reeve-broker
complete -F _reeve_worker reeve-worker
