# Completion of tepal for fish. `tepal completion --help` says where it goes.
function __tepal_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] complete -- $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            set -l prefix (string match -r -- '^--[^=]*=' "$current")
            printf "$prefix%s\n" (__fish_complete_path (string replace -r -- '^--[^=]*=' '' "$current"))
        else
            echo "$line"
        end
    end
end
complete -c tepal -f -a '(__tepal_complete)'
