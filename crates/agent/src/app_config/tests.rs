use super::*;

fn layers(texts: &[(&str, &str)]) -> Vec<Layer> {
    texts.iter().map(|(name, text)| Layer { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}

fn faults(text: &str) -> Vec<String> {
    read(&layers(&[("orocloud.yaml", text)])).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn three_layers_make_one_configuration() {
    let config = read(&layers(&[
        ("/mnt/ocom/app/orocloud.yaml", "orocloud_options:\n  application:\n    env_vars: {A: 'node', B: 'node'}\n"),
        (
            "orocloud.yaml",
            r"
orocloud_options:
  deployment:
    install_commands: ['oro:install --env=prod', 'oro:search:reindex Oro\Bundle\User']
    composer_command: 'COMPOSER_MEMORY_LIMIT=-1 {{composer_cmd}} install --no-dev'
    db_extensions: &extensions ['uuid-ossp', 'pgcrypto']
    sanitize: { update_add_rules: *extensions }
  application:
    env_vars:
      B: 'repository'
      C: 'repository'
    error_pages: { 403: 'pages/403.html' }
  schedule:
    tidy: { command: 'bin/tidy', hour: '*/4' }
  mail: { whitelist: ['bücher.example', 'A.example', 'a.example'] }
  webserver: { anything: [1, 2] }
",
        ),
        (
            "orocloud_prod.yaml",
            "orocloud_options:\n  deployment: {db_extensions: ['pgcrypto']}\n  application: {env_vars: {C: 'prod'}}\n  \
             schedule: {tidy: {minute: 5}}\n",
        ),
        ("empty.yaml", "# nothing\n"),
    ]))
    .unwrap();
    let variables: Vec<_> = config.application.env_vars.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(variables, ["A=node", "B=repository", "C=prod"]);
    assert_eq!(config.application.error_pages[&403], "pages/403.html");
    let install = config.deployment.install_commands.unwrap();
    assert_eq!(install, [vec!["oro:install", "--env=prod"], vec!["oro:search:reindex", r"Oro\Bundle\User"]]);
    assert_eq!(config.deployment.composer_command.environment[0].0, "COMPOSER_MEMORY_LIMIT");
    assert_eq!(config.deployment.db_extensions, ["pgcrypto"]);
    assert!(config.deployment.git_clone_recursive);
    let listed: Vec<_> = config.mail.whitelist.iter().flatten().map(ToString::to_string).collect();
    assert_eq!(listed, ["a.example", "xn--bcher-kva.example"]);
    assert_eq!(config.schedule["tidy"].when, ["5", "*/4", "*", "*", "*"]);
    assert_eq!(read(&[]).unwrap(), AppConfig::default());
}

#[test]
fn fields_of_a_schedule_are_those_of_crontab() {
    for (key, text, expected) in [
        ("minute", "8,12,16", "8,12,16"),
        ("hour", "*/4", "*/4"),
        ("monthday", "1-31/2", "1-31/2"),
        ("month", "jan,JUN-Aug", "1,6-8"),
        ("weekday", "mon-fri", "1-5"),
        ("weekday", "7", "7"),
    ] {
        let yaml = format!("orocloud_options: {{schedule: {{a: {{command: 'x', {key}: '{text}'}}}}}}");
        let config = read(&layers(&[("orocloud.yaml", &yaml)])).unwrap();
        assert!(config.schedule["a"].when.contains(&expected.to_owned()), "{yaml}");
    }
}

#[test]
fn a_wrong_key_or_value_is_named_with_its_place_and_the_nearest_key() {
    let text = "orocloud_options:\n  deployment:\n    instal_commands: []\n    git_clone_recursive: 'true'\n    \
                db_extensions: pgcrypto\n  aplication: {}\n  schedule:\n    nightly:\n      minute: '61'\n";
    assert_eq!(
        faults(text),
        [
            "orocloud.yaml:4:26: orocloud_options.deployment.git_clone_recursive must be true or false, this is \"true\"",
            "orocloud.yaml:5:20: orocloud_options.deployment.db_extensions must be a list, this is a single value",
            "orocloud.yaml:3:5: unknown key orocloud_options.deployment.instal_commands: did you mean \
             orocloud_options.deployment.install_commands",
            "orocloud.yaml:9:15: orocloud_options.schedule.nightly.minute must be *, 0 to 59, a range, a list, or */x, \
             this is \"61\"",
            "orocloud.yaml:6:3: unknown key orocloud_options.aplication: did you mean orocloud_options.application",
        ]
    );
    for (text, expected) in [
        ("deployment: {}", "orocloud.yaml:1:1: unknown key deployment: known here: orocloud_options"),
        ("orocloud_options: []", "orocloud_options must be a hash, this is a list"),
        ("orocloud_options:\n  schedule: {a: {hour: '1'}}", "orocloud_options.schedule.a has no command"),
        (
            "orocloud_options: {}\norocloud_options: {}",
            "2:1: the key orocloud_options stands here a second time",
        ),
        ("a: 1\n---\nb: 2", "only one is read"),
        ("orocloud_options:\n\tdeployment: {}", "orocloud.yaml:2:2: this is not YAML"),
        (
            "orocloud_options: {application: {env_vars: {A: 1}}}",
            "must be a string: write it in single quotes, '1'",
        ),
        ("orocloud_options: {application: {env_vars: {A: null}}}", "leave the variable out"),
        ("orocloud_options: {mail: {whitelist: 'a.example'}}", "mail.whitelist must be a list"),
        ("orocloud_options: {mail: {whitelist: ['ann@a.example']}}", "mail.whitelist[0] must be a domain"),
        ("orocloud_options: {mail: {whitelist: ['xn--a.example']}}", "must be a domain, like example.com"),
        ("orocloud_options: {mail: {relays: []}}", "known here: whitelist"),
        ("orocloud_options: {application: {env_vars: {A-B: 'x'}}}", "letters, digits and _"),
        ("orocloud_options: {application: {maintenance_page: '../x'}}", "inside the repository"),
        ("orocloud_options: {application: {web_backend_prefix: 'admin/'}}", "must begin with /"),
        ("orocloud_options: {application: {web_backend_prefix: '/a;b {}'}}", "must begin with /"),
        (
            "orocloud_options: {application: {env_vars: {COMPOSER_AUTH2: '{\"http-basic\": {\"a\": 1}'}}}",
            "env_vars.COMPOSER_AUTH2 must be a JSON object, as in Composer's auth.json",
        ),
        ("orocloud_options: {schedule: {a: {command: 'x', weekday: 'fri-mon'}}}", "must be *, 0 to 7"),
        ("orocloud_options: {schedule: {a: {command: 'x', hour: 'mon'}}}", "must be *, 0 to 23"),
        ("orocloud_options: {schedule: {a: {command: 'x', hour: '+1'}}}", "must be *, 0 to 23"),
        ("orocloud_options: {deployment: {install_commands: ['oro:install \"x']}}", "[0] has a quote"),
        ("orocloud_options: {deployment: {composer_command: 'composer install'}}", "{{composer_cmd}}"),
        ("a: *nothing", "this is not YAML"),
    ] {
        let found = faults(text);
        assert!(found[0].contains(expected), "{text:?}: {found:?}");
    }
}

#[test]
fn an_open_quote_is_found_where_it_begins() {
    let text = "orocloud_options:\n  deployment:\n    install_commands:\n      - 'oro:install --env=prod\n     \
                upgrade_commands: \"x\"\n";
    assert_eq!(faults(text), ["orocloud.yaml:4:9: this is not YAML: invalid indentation in quoted scalar"]);
}

#[test]
fn a_file_made_to_exhaust_memory_or_stack_is_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..9 {
        let alias = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(","));
    }
    assert!(faults(&bomb)[0].contains("more than 100000 values"));
    assert!(faults(&"[".repeat(100_000))[0].contains("orocloud.yaml:1:"));
    assert!(faults(&format!("a: {}", "{b: ".repeat(10_000)))[0].contains("orocloud.yaml:1:"));
}

#[test]
fn files_are_found_and_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let load = || load(Some(&at("node.yaml")), folder.path(), EnvironmentType::Stag);
    assert_eq!(load().unwrap(), AppConfig::default());
    std::fs::write(at("orocloud_prod.yaml"), "wrong: 1").unwrap();
    assert_eq!(load().unwrap(), AppConfig::default());
    std::fs::write(at("orocloud_stag.yaml"), "wrong: 1").unwrap();
    let error = load().unwrap_err();
    assert_eq!(error.message, "orocloud.yaml is wrong at orocloud_stag.yaml:1:1");
    std::fs::write(at("orocloud_stag.yaml"), b"a\n\xff").unwrap();
    assert!(load().unwrap_err().to_string().contains("line 2 is not UTF-8"));
    std::fs::remove_file(at("orocloud_stag.yaml")).unwrap();
    std::os::unix::fs::symlink("/etc/shadow", at("orocloud.yaml")).unwrap();
    assert!(load().unwrap_err().to_string().contains("not a plain file"));
}
